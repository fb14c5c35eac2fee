"""Lanes: in order for each key, fair between keys, and no slot is ever lost."""

from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from agents.lanes import Lane, Lanes, Slots


@dataclass(frozen=True)
class Job:
    """Something that waits in a lane."""

    key: str
    number: int
    slots: Slots
    size_bytes: int = 10
    tenant: str = ""
    priority: int = 0


@dataclass
class Runner:
    """Remembers what runs; the test says what ends."""

    running: list[tuple[Lane, Job]] = field(default_factory=list)
    begun: list[Job] = field(default_factory=list)

    def __call__(self, lane: Lane, job: Job) -> None:
        self.running.append((lane, job))
        self.begun.append(job)


def filled(slots: Slots, keys: str) -> tuple[Lanes, Runner]:
    """Return lanes with a job for each letter of *keys*."""
    runner = Runner()
    lanes = Lanes(run=runner)
    for number, key in enumerate(keys):
        lanes.submit(key, Job(key, number, slots))
    return lanes, runner


def begun(runner: Runner) -> str:
    return "".join(job.key for job in runner.begun)


def end(lanes: Lanes, runner: Runner) -> None:
    """End the run that began first."""
    lane, _ = runner.running.pop(0)
    lanes.done(lane)


class Fairness(RuleBasedStateMachine):
    """Two tasks and two pipelines; tasks close whenever they like."""

    @initialize(limits=st.tuples(st.integers(1, 3), st.integers(1, 3)))
    def begin(self, limits: tuple[int, int]) -> None:
        self.pipelines = [Slots(limit=limit) for limit in limits]
        self.tasks: list[tuple[Lanes, Runner]] = []
        self.closed: list[tuple[Lanes, Runner]] = []
        for _ in range(2):
            self.open()
        self.number = 0

    def open(self) -> None:
        runner = Runner()
        self.tasks.append((Lanes(run=runner), runner))

    @property
    def everything(self) -> list[tuple[Lanes, Runner]]:
        return self.tasks + self.closed

    @rule(task=st.integers(0, 1), key=st.sampled_from("abc"), at=st.integers(0, 1))
    def submit(self, task: int, key: str, at: int) -> None:
        self.number += 1
        self.tasks[task][0].submit(key, Job(key, self.number, self.pipelines[at]))

    @precondition(lambda self: any(r.running for _, r in self.everything))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        busy = [each for each in self.everything if each[1].running]
        lanes, runner = data.draw(st.sampled_from(busy), "task")
        at = data.draw(st.integers(0, len(runner.running) - 1), "run")
        lane, _ = runner.running.pop(at)
        lanes.done(lane)

    @rule(task=st.integers(0, 1))
    def close(self, task: int) -> None:
        """The partition moves away; what runs there ends later."""
        lanes, runner = self.tasks.pop(task)
        lanes.close()
        self.closed.append((lanes, runner))
        self.open()

    @invariant()
    def taken_slots_are_running_runs(self) -> None:
        for slots in self.pipelines:
            running = [
                job
                for _, runner in self.everything
                for _, job in runner.running
                if job.slots is slots
            ]
            assert slots.taken == len(running) <= slots.limit

    @invariant()
    def no_slot_is_free_while_an_open_lane_wants_it(self) -> None:
        for lanes, runner in self.tasks:
            busy = {id(lane) for lane, _ in runner.running}
            for lane in lanes.by_key.values():
                slots = lane.waiting[0].slots
                assert id(lane) in busy or slots.taken == slots.limit

    @invariant()
    def each_key_runs_one_at_a_time_and_in_order(self) -> None:
        for _, runner in self.everything:
            keys = [job.key for _, job in runner.running]
            assert len(keys) == len(set(keys))
            order = defaultdict(list)
            for job in runner.begun:
                order[job.key].append(job.number)
            assert all(numbers == sorted(numbers) for numbers in order.values())

    @invariant()
    def the_books_are_right(self) -> None:
        for lanes, _ in self.tasks:
            waiting = sum(len(lane.waiting) for lane in lanes.by_key.values())
            assert lanes.records == waiting
            assert lanes.size_bytes == 10 * waiting

    def teardown(self) -> None:
        for lanes, runner in self.everything:
            lanes.close()
            for lane, _ in runner.running:
                lanes.done(lane)
        assert not any(slots.taken for slots in getattr(self, "pipelines", ()))


TestFairness = Fairness.TestCase
TestFairness.settings = settings(max_examples=40, stateful_step_count=30)


def test_a_hot_key_gets_one_turn_like_everybody():
    lanes, runner = filled(Slots(limit=1), "aaaabc")
    while runner.running:
        end(lanes, runner)
    assert begun(runner) == "abcaaa"


def test_a_newcomer_waits_for_one_turn_of_each_lane_before_it():
    lanes, runner = filled(Slots(limit=1), "aaabbb")
    lanes.submit("c", Job("c", 9, runner.begun[0].slots))
    while runner.running:
        end(lanes, runner)
    assert begun(runner) == "abcabab"


def test_as_many_runs_as_there_are_slots():
    lanes, runner = filled(Slots(limit=3), "abcde")
    assert begun(runner) == "abc"
    end(lanes, runner)
    assert begun(runner) == "abcd"


def test_a_lane_runs_records_of_two_pipelines_in_their_order():
    full, free = Slots(limit=1), Slots(limit=1)
    runner = Runner()
    lanes = Lanes(run=runner)
    lanes.submit("x", Job("x", 0, full))
    lanes.submit("a", Job("a", 1, full))
    lanes.submit("a", Job("a", 2, free))
    assert begun(runner) == "x"  # a slot of its own does not let it overtake
    end(lanes, runner)
    end(lanes, runner)
    assert [job.number for job in runner.begun] == [0, 1, 2]


def test_a_closed_lane_starts_nothing_and_hands_its_slot_on():
    slots = Slots(limit=1)
    old, old_runner = filled(slots, "aab")
    _, new_runner = filled(slots, "c")
    old.close()
    end(old, old_runner)
    assert begun(old_runner) == "a"
    assert begun(new_runner) == "c"


def test_an_idle_lane_is_forgotten():
    lanes, runner = filled(Slots(limit=1), "a")
    end(lanes, runner)
    assert (lanes.by_key, lanes.records, lanes.size_bytes) == ({}, 0, 0)


def test_a_tenant_with_many_keys_leaves_slots_to_others():
    runner = Runner()
    lanes, slots = Lanes(run=runner), Slots(limit=1)
    for number, key in enumerate("abcdef"):
        lanes.submit(key, Job(key, number, slots, tenant="hog"))
    lanes.submit("x", Job("x", 6, slots, tenant="guest"))
    for _ in range(2):
        end(lanes, runner)
    assert "x" in begun(runner)


def test_what_is_more_important_goes_first_and_order_within_a_key_stays():
    runner = Runner()
    lanes, slots = Lanes(run=runner), Slots(limit=1)
    for number, (key, priority) in enumerate([("a", 0), ("b", 0), ("c", 5), ("b", 9)]):
        lanes.submit(key, Job(key, number, slots, priority=priority))
    while runner.running:
        end(lanes, runner)
    # The second of b is the most important, and waits for the first of b.
    assert begun(runner) == "acbb"
