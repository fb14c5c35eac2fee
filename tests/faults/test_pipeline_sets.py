"""Workers with other pipelines: one set at a time, whoever starts when."""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from agents.exit_codes import ExitCode
from tests.faults.late_entry import LATE, LOADED
from tests.faults.pipelines import with_extra
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask, Lab
from tests.integration.processes import WorkerProcess
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered

AT_ONCE = 3


def loaded(lab: Lab, folders: Mapping[str, Path]) -> dict[str, WorkerProcess]:
    """Return workers, by name, that all begin as soon as they are told to."""
    workers = {
        name: lab.worker(name, LATE, pipelines_dir=folder)
        for name, folder in folders.items()
    }
    eventually(
        lambda: all(worker.events(LOADED) for worker in workers.values()),
        within_s=60,
        what="workers that wait",
    )
    return workers


def ask(lab: Lab, count: int, begin: int = 0) -> list[Ask]:
    asks = [
        Ask(request_id=f"r{i}", session_id=f"s{i % 8}", inputs={"ticket": "x"})
        for i in range(begin, begin + count)
    ]
    lab.send("echo", asks)
    return asks


def owners(lab: Lab) -> list[list[str]]:
    """Return who owned each partition, one after the other, by their tokens."""
    found: list[list[str]] = [[] for _ in range(PARTITIONS)]
    for seen in lab.tail(f"{lab.settings.group}-tasks-changelog").all():
        if seen.key == b"position":
            token = seen.value.split(b'"')[1].decode()
            if found[seen.partition][-1:] != [token]:
                found[seen.partition].append(token)
    return found


@pytest.mark.long
@pytest.mark.timeout(240)
def test_after_all_have_stopped_all_with_another_set_may_start_at_once(
    new_lab: Callable[..., Lab],
):
    lab = new_lab({"echo": ECHO})
    results = lab.tail(lab.topic("echo", "results"))
    old = lab.worker("old").ready()
    asks = ask(lab, 40)
    answered(results, 40, within_s=30)
    more = with_extra(lab)
    names = [f"new{n}" for n in range(AT_ONCE)]
    workers = loaded(lab, dict.fromkeys(names, more))
    assert old.terminate() == ExitCode.DONE
    asks += ask(lab, 40, 40)
    for worker in workers.values():
        worker.send(signal.SIGUSR1)
    for worker in workers.values():
        worker.ready()
    answered(results, 80, within_s=30)
    Verdict.of(lab, "echo").check(asks)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_of_two_sets_that_start_in_the_same_moment_one_at_most_goes_on(
    new_lab: Callable[..., Lab], figures
):
    lab = new_lab({"echo": ECHO})
    results = lab.tail(lab.topic("echo", "results"))
    asks = ask(lab, 80)
    more = with_extra(lab)
    workers = loaded(lab, {"one": lab.folder / "pipelines", "other": more})
    for worker in workers.values():
        worker.send(signal.SIGUSR1)
    eventually(
        lambda: any(worker.exit_code is not None for worker in workers.values()),
        within_s=60,
        what="one that is refused",
    )
    ended = [w for w in workers.values() if w.exit_code is not None]
    for worker in ended:
        assert worker.exit_code == ExitCode.USAGE
        assert "another set of pipelines" in worker.last_words()
    figures(refused=len(ended))
    if len(ended) == len(workers):
        lab.worker("last").ready()
    answered(results, len(asks), within_s=60)
    Verdict.of(lab, "echo").check(asks)
    held = [name for name, w in workers.items() if w.events("tasks.restored")]
    assert len(held) <= 1, "workers with different sets had tasks"
    for tokens in owners(lab):
        assert len(tokens) == len(set(tokens)), "an owner that was replaced came back"
