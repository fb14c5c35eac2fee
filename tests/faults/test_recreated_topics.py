"""A topic that was deleted and made again is another one, and nobody mistakes it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from agents.exit_codes import ExitCode
from agents.tables import SESSIONS
from tests.integration.lab import Ask, Lab
from tests.integration.processes import WorkerProcess
from tests.integration.reading import Tail
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered

TURN = 16
NOTICED_S = 40.0
"""A worker looks every fifteen seconds."""


@dataclass
class Talk:
    """Sessions that go on, on an app of their own."""

    lab: Lab
    results: Tail
    asks: list[Ask] = field(default_factory=list)

    @property
    def requests(self) -> str:
        return self.lab.topic("echo", "requests")

    @property
    def sessions(self) -> str:
        return f"{self.lab.settings.group}-{SESSIONS}-changelog"

    def ask(self, turns: int = 1) -> None:
        begin = len(self.asks)
        self.asks += [
            Ask(
                request_id=f"r{i}",
                session_id=f"s{i % TURN}",
                inputs={"ticket": "x"},
            )
            for i in range(begin, begin + turns * TURN)
        ]
        self.lab.send("echo", self.asks[begin:])

    def turn(self) -> None:
        self.ask()
        answered(self.results, len(self.asks), within_s=30)

    def is_refused(self, worker: WorkerProcess, topic: str) -> None:
        """Check that *worker* ends, names *topic* and says what helps."""
        assert worker.wait(within_s=NOTICED_S) == ExitCode.FAILED
        assert topic in worker.last_words()
        assert "PENSTOCK_ACCEPT_LOSS" in worker.last_words()

    def goes_on_without(self) -> None:
        """Check that a worker which accepts the loss answers everything there is."""
        accepting = self.lab.worker(accept_loss=True).ready()
        answered(self.results, len(self.asks), within_s=30)
        assert accepting.terminate() == ExitCode.DONE

    def turns(self) -> list[int]:
        """Return which turn each answer was, in the order of requests."""
        verdict = Verdict.of(self.lab, "echo")
        turns = {t.request_id: t.value["turn"] for t in verdict.terminals}
        verdict.check_once(self.asks)
        return [turns[ask.request_id] for ask in self.asks]


@pytest.fixture
def talk(new_lab: Callable[..., Lab]) -> Talk:
    lab = new_lab({"echo": ECHO})
    return Talk(lab, lab.tail(lab.topic("echo", "results")))


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_changelog_that_was_recreated_between_starts_is_refused(talk):
    worker = talk.lab.worker().ready()
    talk.turn()
    assert worker.terminate() == ExitCode.DONE
    talk.lab.recreate(talk.sessions)
    # Also by a worker whose disk has nothing to compare with.
    talk.is_refused(talk.lab.worker("other"), talk.sessions)
    talk.is_refused(talk.lab.worker(), talk.sessions)
    accepting = talk.lab.worker(accept_loss=True).ready()
    talk.turn()
    assert accepting.terminate() == ExitCode.DONE
    again = talk.lab.worker().ready()
    talk.turn()
    assert again.terminate() == ExitCode.DONE
    assert talk.turns() == [1] * TURN + [1] * TURN + [2] * TURN


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_changelog_that_is_recreated_under_a_worker_ends_it(talk):
    worker = talk.lab.worker().ready()
    talk.turn()
    talk.lab.recreate(talk.sessions)
    talk.ask()
    talk.is_refused(worker, talk.sessions)
    talk.is_refused(talk.lab.worker(), talk.sessions)
    talk.goes_on_without()
    Verdict.of(talk.lab, "echo").check_once(talk.asks)


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("turns", [1, 3])
def test_a_request_topic_that_was_recreated_between_starts_is_refused(talk, turns):
    """However many records it has by now: fewer than were answered, or more."""
    worker = talk.lab.worker().ready()
    talk.turn()
    talk.turn()
    assert worker.terminate() == ExitCode.DONE
    talk.lab.recreate(talk.requests)
    talk.ask(turns)
    talk.is_refused(talk.lab.worker(), talk.requests)
    shutil.rmtree(talk.lab.state())
    talk.is_refused(talk.lab.worker(), talk.requests)
    talk.goes_on_without()
    # Sessions go on: nothing of what the new topic has was skipped.
    Verdict.of(talk.lab, "echo").check(talk.asks)


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("turns", [0, 3])
def test_a_request_topic_that_is_recreated_under_a_worker_ends_it(talk, turns):
    worker = talk.lab.worker().ready()
    talk.turn()
    talk.turn()
    talk.lab.recreate(talk.requests)
    talk.ask(turns)
    talk.is_refused(worker, talk.requests)
    talk.is_refused(talk.lab.worker(), talk.requests)
    talk.goes_on_without()
    Verdict.of(talk.lab, "echo").check_once(talk.asks)
