"""Workers that are told to stop in the same moment: the group waits for none of them.

The first one's leaving makes the second one join again. Its join stays open until all
others have joined as well, and what it says behind it is heard no earlier.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from agents.exit_codes import ExitCode
from agents.routing import home_partition
from tests.faults.late_entry import LATE, LOADED
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask, Lab
from tests.integration.processes import WorkerProcess
from tests.integration.texts import ECHO
from tests.integration.verdict import answered

SESSION_S = 30
BEAT_S = SESSION_S / 10
"""How often a member is heard of."""
FORGOTTEN_S = SESSION_S - BEAT_S
"""A member that said nothing when it was told to stop is in the group for longer."""
SHORT_SESSION_S, LONG_REQUEST_S, DRAIN_S = 10, 15, 25
PATIENCE_S = 2 * SESSION_S
"""For what comes after a session timeout too, so that a test can say when it came."""


@dataclass
class Group:
    """Workers of one app, the first of which stays."""

    lab: Lab
    workers: list[WorkerProcess]

    def ask(self, partition: int, ticket: str) -> None:
        """Send a request to *partition*."""
        number = len(self.lab.tail(self.lab.topic("echo", "requests")).all())
        ask = Ask(
            request_id=f"r{number}",
            session_id=home(partition),
            inputs={"ticket": ticket},
        )
        self.lab.send("echo", [ask])

    def tell(self, *leaving: WorkerProcess) -> float:
        """Tell them to stop, in the same moment; return it."""
        for worker in leaving:
            worker.send(signal.SIGTERM)
        return time.perf_counter()

    def keep_busy(self, worker: WorkerProcess, seconds: float = 2 * BEAT_S) -> None:
        """Give it what takes so long that it hears of a rebalance while it drains."""
        self.ask(min(owned(worker)), f"wait={seconds}")
        eventually(
            lambda: worker.metric("penstock_task_running") == 1,
            within_s=PATIENCE_S,
            what="a request that runs",
        )

    def share(self) -> None:
        """Wait until each has partitions, and none is missing."""
        eventually(
            lambda: (
                all(map(tasks, self.workers))
                and sum(map(tasks, self.workers)) == PARTITIONS
            ),
            within_s=PATIENCE_S,
            what="partitions for each",
        )

    def joined(self, number: int) -> None:
        """Wait until the group knows so many."""
        eventually(
            lambda: self.lab.members() == number,
            within_s=PATIENCE_S,
            what=f"{number} members",
        )

    def left(self) -> None:
        """Wait until the group knows nobody but the one that stays."""
        eventually(
            lambda: self.lab.members() <= 1, within_s=PATIENCE_S, what="one member"
        )

    def one_answers(self) -> None:
        """Wait until the one that stays has answered in every partition."""
        stays = self.workers[0]
        before = len(self.lab.tail(self.lab.topic("echo", "requests")).all())
        for partition in range(PARTITIONS):
            self.ask(partition, "and on it goes")
        results = self.lab.tail(self.lab.topic("echo", "results"))
        answered(results, before + PARTITIONS, within_s=PATIENCE_S)
        assert tasks(stays) == PARTITIONS


def home(partition: int) -> str:
    """Return a session of *partition*."""
    names = map(str, range(1_000))
    return next(n for n in names if home_partition(n, PARTITIONS) == partition)


def tasks(worker: WorkerProcess) -> float:
    return worker.metric("penstock_tasks_live")


def owned(worker: WorkerProcess) -> set[int]:
    last = worker.events("tasks.assigned")[-1]
    return {*last["kept"], *last["fresh"]}


@contextmanager
def silent(worker: WorkerProcess) -> Iterator[None]:
    """Let *worker* answer nobody: no join of the others comes to an end."""
    worker.send(signal.SIGSTOP)
    yield
    worker.send(signal.SIGCONT)


@pytest.fixture
def group(new_lab) -> Callable[..., Group]:
    def start(number: int, session_s: float = SESSION_S) -> Group:
        lab = new_lab({"echo": ECHO}, session_timeout_s=session_s, drain_s=DRAIN_S)
        started = Group(lab, [lab.worker(f"w{n}") for n in range(number)])
        for worker in started.workers:
            worker.ready()
        started.share()
        return started

    return start


@pytest.mark.timeout(240)
def test_two_that_leave_together_make_nobody_wait_a_session_timeout(group, figures):
    three = group(3)
    _, first, second = three.workers
    three.keep_busy(second)
    told_s = three.tell(first, second)
    codes = [worker.wait(PATIENCE_S) for worker in (first, second)]
    ended_s = time.perf_counter() - told_s
    three.one_answers()
    moved_s = time.perf_counter() - told_s
    figures(moved_s=round(moved_s, 1), ended_s=round(ended_s, 1))
    assert moved_s < FORGOTTEN_S
    assert codes == [ExitCode.DONE, ExitCode.DONE]


@pytest.mark.timeout(240)
def test_a_member_whose_join_waits_for_others_leaves_at_once(group, figures):
    three = group(3)
    stays, first, second = three.workers
    three.keep_busy(second)
    with silent(stays):
        told_s = three.tell(first, second)
        codes = [worker.wait(PATIENCE_S) for worker in (first, second)]
        three.left()
        gone_s = time.perf_counter() - told_s
    three.one_answers()
    figures(gone_s=round(gone_s, 1))
    assert gone_s < FORGOTTEN_S
    assert codes == [ExitCode.DONE, ExitCode.DONE]
    assert not second.events("worker.stop_forced")


@pytest.mark.timeout(240)
def test_a_member_that_drains_for_long_is_a_member_until_it_is_drained(group):
    """Also when others come or go: nobody repeats what it is about to finish."""
    three = group(3, SHORT_SESSION_S)
    stays, first, second = three.workers
    busy = min(owned(second))
    three.keep_busy(second, LONG_REQUEST_S)
    before = len(stays.events("tasks.assigned"))
    three.tell(first, second)
    assert [w.wait(PATIENCE_S) for w in (first, second)] == [ExitCode.DONE] * 2
    [drained] = second.events("tasks.drained")
    three.one_answers()
    later = stays.events("tasks.assigned")[before:]
    [moved] = [event for event in later if busy in event["fresh"]]
    assert moved["timestamp"] > drained["timestamp"]
    assert not second.events("task.dead")


@pytest.mark.timeout(240)
def test_a_member_whose_first_join_waits_for_others_leaves_at_once(group, figures):
    one = group(1)
    late = one.lab.worker("late", LATE)
    eventually(lambda: late.events(LOADED), within_s=PATIENCE_S, what="a late one")
    with silent(one.workers[0]):
        late.send(signal.SIGUSR1)
        one.joined(2)
        told_s = one.tell(late)
        code = late.wait(PATIENCE_S)
        one.left()
        gone_s = time.perf_counter() - told_s
    one.one_answers()
    figures(gone_s=round(gone_s, 1))
    assert gone_s < FORGOTTEN_S
    assert code == ExitCode.DONE
    assert not late.events("worker.stop_forced")
