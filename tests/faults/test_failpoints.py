"""A worker that dies at each point of a commit: one answer each, nothing paid twice."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from agents.exit_codes import ExitCode
from agents.failpoint_rules import POINTS
from tests.integration.asking import Asking, asking
from tests.integration.conftest import labs
from tests.integration.eventually import eventually
from tests.integration.lab import Ask, Lab
from tests.integration.processes import WorkerProcess
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered

REQUESTS = 40
SESSIONS = 16

KILLS = (
    "commit.before_begin=kill@5",
    "commit.before_end=kill@5",
    "claim.after_init=kill@2",
    "claim.before_begin=kill@2",
    "claim.after_end=kill@2",
    "commit.after_end=kill@5",
    "restore.apply=kill@1",
    "journal.before=kill@3",
    "journal.after=kill@3",
    "store.apply=kill@7",
    "store.applied=kill@7",
)
"""In an order in which the restore finds something to do."""

PAID = ("commit.before_end=kill@9", "commit.after_end=kill@9", "journal.after=kill@9")
"""The same where calls of an LM are paid for: around the moment when they are."""

SURVIVED = (
    "claim.after_init=error@1",
    "claim.before_begin=error@2",
    "claim.after_end=drop-reply@3",
    "commit.before_begin=error@2",
    "commit.before_end=error@3",
    "commit.after_end=drop-reply@4",
    "journal.before=error@3",
    "journal.after=drop-reply@1",
    "store.apply=sleep:0.2@5",
)


@dataclass(slots=True)
class Case:
    """One app for all tests: the faults of each are part of the next one's past."""

    lab: Lab
    asks: list[Ask] = field(default_factory=list)

    def worker(self, name: str = "a", **settings: object) -> WorkerProcess:
        """Start a worker that has something to do at once."""
        worker = self.lab.worker(name, **settings)
        begin = len(self.asks)
        self.asks += [
            Ask(
                request_id=f"r{i}",
                session_id=f"s{i % SESSIONS}",
                inputs={"ticket": "wait=0.05"},
            )
            for i in range(begin, begin + REQUESTS)
        ]
        self.lab.send("echo", self.asks[begin:])
        return worker

    def ended(self, rule: str) -> tuple[WorkerProcess, int]:
        """Let a worker with *rule* work until it has ended; return its exit code."""
        worker = self.worker(instance="one", failpoints=rule)
        code = worker.wait(within_s=60)
        assert worker.events("failpoint.hit")[-1]["point"] == rule.partition("=")[0]
        return worker, code

    def check(self) -> None:
        """Wait until everybody is answered; nothing is wrong then."""
        with self.lab.tail(self.lab.topic("echo", "results")) as results:
            answered(results, len(self.asks), within_s=60)
        Verdict.of(self.lab, "echo").check(self.asks)

    def recovers(self) -> None:
        """A worker without failpoints answers everybody."""
        worker = self.lab.worker(instance="one").ready()
        self.check()
        assert worker.terminate() == ExitCode.DONE


@pytest.fixture(scope="module")
def case(bootstrap, tmp_path_factory) -> Iterator[Case]:
    with labs(bootstrap, tmp_path_factory.mktemp("failpoints")) as new_lab:
        yield Case(new_lab({"echo": ECHO}))


@pytest.mark.long
@pytest.mark.timeout(300)
def test_who_dies_at_any_point_leaves_nothing_undone_and_nothing_twice(case):
    assert {rule.partition("=")[0] for rule in KILLS} == set(POINTS)
    for rule in KILLS:
        _, code = case.ended(rule)
        assert code == -signal.SIGKILL, rule
    case.recovers()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_who_dies_around_a_commit_repeats_no_call_that_was_committed(
    bootstrap, tmp_path, record_property
):
    with labs(bootstrap, tmp_path) as new_lab, asking(new_lab, tmp_path) as case:
        for rule in (*PAID, ""):
            finished, before = case.finished(), case.lm.repeated()
            worker = case.lab.worker(instance="one", failpoints=rule)
            case.load(REQUESTS)
            if rule:
                assert died(worker, case) == -signal.SIGKILL
            else:
                case.answers()
                assert worker.terminate() == ExitCode.DONE
            again = {c for c, n in case.lm.repeated().items() if n > before.get(c, 0)}
            assert not finished & again, "a finished call was paid again"
        case.check()
        record_property("unfinished_calls_repeated", len(case.lm.repeated()))


def died(worker: WorkerProcess, case: Asking) -> int:
    """Return how *worker* ended; a busy one makes few transactions of many requests."""
    while worker.exit_code is None:
        with suppress(subprocess.TimeoutExpired):
            worker.wait(within_s=5)
        case.load(4)
    return worker.exit_code


@pytest.mark.long
def test_a_full_disk_ends_the_worker_with_a_line_that_names_the_cure(case):
    for rule in ("store.apply=enospc@5", "restore.apply=enospc@1"):
        worker, code = case.ended(rule)
        assert code == ExitCode.FAILED
        [*_, line, _] = worker.log.read_text().splitlines()
        assert line.startswith("penstock worker: "), line
        assert "No space left on device" in line
        assert line.endswith("free disk space, then start again")
    case.recovers()


@pytest.mark.long
def test_lost_replies_and_errors_of_kafka_are_survived_without_a_restart(case):
    worker = case.worker("b", instance="one", failpoints=";".join(SURVIVED))
    case.check()
    assert worker.terminate() == ExitCode.DONE
    hits = {(hit["point"], hit["action"]) for hit in worker.events("failpoint.hit")}
    assert len(hits) == len(SURVIVED)


@pytest.mark.long
def test_who_is_stopped_before_endtxn_is_replaced_and_publishes_nothing_more(case):
    asleep = case.worker("c", failpoints="commit.before_end=stop@3")
    eventually(
        lambda: asleep.events("failpoint.hit"), within_s=30, what="a stopped worker"
    )
    case.lab.worker("d").ready()
    case.check()
    asleep.send(signal.SIGCONT)
    assert asleep.terminate() == ExitCode.DONE
    case.check()
