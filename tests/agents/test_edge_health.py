"""Health: a restart is asked for only where it helps."""

from dataclasses import dataclass, field

import pytest

from agents.health import GRACE_S, ORPHANED_S, STALLED_S, Health, IllError
from agents.tasks import Held
from streams.clock import ManualClock


def held(partition: int = 0, state: str = "live", **of) -> Held:
    counts = {"running": 0, "waiting": 0, "waiting_bytes": 0, "unsettled": 0}
    return Held(partition=partition, state=state, **(counts | of))


@dataclass
class Worker:
    """What a worker's parts say about themselves."""

    tasks: list[Held] = field(default_factory=lambda: [held()])
    alive: bool = True
    assigned: set[int] = field(default_factory=lambda: {0})
    draining: bool = False
    opening: bool = False
    away: bool = False

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.health = Health(
            clock=self.clock,
            held=lambda: self.tasks,
            consumer=lambda: [] if self.alive else ["the consumer thread ended"],
            assigned=lambda: self.assigned,
            draining=lambda: self.draining,
            opening=lambda: self.opening,
            kafka_away=lambda: self.away,
            started=True,
        )


def test_a_worker_that_works_has_no_problems():
    worker = Worker()
    worker.clock.advance(10_000)
    assert worker.health.problems() == []
    assert all(worker.health.ready().values())


def test_before_its_start_a_worker_is_alive_and_not_ready():
    worker = Worker(alive=False, tasks=[], assigned=set())
    worker.health.started = False
    assert worker.health.problems() == []
    assert not any(worker.health.ready()[name] for name in ("started", "restored"))


def test_a_consumer_whose_thread_ended_needs_a_restart():
    assert Worker(alive=False).health.problems() == ["the consumer thread ended"]


def test_a_committer_that_hangs_needs_a_restart():
    worker = Worker(tasks=[held(unsettled=1)])
    worker.clock.advance(STALLED_S)
    assert worker.health.problems() == []
    worker.clock.advance(1)
    assert worker.health.problems() == ["task 0: nothing was committed for 61 s"]


def test_an_idle_task_may_commit_nothing_for_ever():
    worker = Worker(tasks=[held(running=5)])
    worker.clock.advance(STALLED_S * 100)
    assert worker.health.problems() == []


@pytest.mark.parametrize("state", ["dead", "closed", "opening"])
def test_an_assigned_partition_without_a_live_task_needs_a_restart_in_the_end(state):
    worker = Worker(tasks=[held(state=state)])
    assert worker.health.problems() == []
    worker.clock.advance(ORPHANED_S)
    assert worker.health.problems() == ["no live task for the assigned partitions [0]"]


def test_an_orphan_that_found_its_task_starts_counting_anew():
    worker = Worker(tasks=[])
    worker.health.problems()
    worker.clock.advance(ORPHANED_S - 1)
    worker.tasks = [held()]
    assert worker.health.problems() == []
    worker.tasks = []
    worker.clock.advance(ORPHANED_S - 1)
    assert worker.health.problems() == []


@pytest.mark.parametrize("excuse", ["draining", "opening", "away"])
def test_who_has_a_reason_may_be_without_live_tasks(excuse):
    worker = Worker(tasks=[], **{excuse: True})
    worker.health.problems()
    worker.clock.advance(ORPHANED_S * 10)
    assert worker.health.problems() == []


def test_while_kafka_is_away_nobody_is_restarted_for_not_committing():
    worker = Worker(tasks=[held(unsettled=1)], away=True)
    worker.clock.advance(STALLED_S * 10)
    assert worker.health.problems() == []


def test_who_stays_ill_ends_by_itself():
    worker = Worker(alive=False)
    worker.health.end_if_ill()
    worker.clock.advance(GRACE_S)
    worker.health.end_if_ill()
    worker.clock.advance(1)
    with pytest.raises(IllError, match="the consumer thread ended: this worker needs"):
        worker.health.end_if_ill()


def test_who_gets_well_again_starts_counting_anew():
    worker = Worker(alive=False)
    worker.health.end_if_ill()
    worker.clock.advance(GRACE_S + 1)
    worker.alive = True
    worker.health.end_if_ill()
    worker.alive = False
    worker.health.end_if_ill()


def test_a_worker_is_ready_once_all_its_partitions_are():
    worker = Worker(assigned={0, 1})
    assert worker.health.ready() == {
        "started": True,
        "restored": False,
        "not_draining": True,
    }
    worker.tasks.append(held(1))
    assert worker.health.ready()["restored"]


def test_a_draining_worker_is_not_ready():
    assert not Worker(draining=True).health.ready()["not_draining"]
