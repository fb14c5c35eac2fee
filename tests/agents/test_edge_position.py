"""The position record: every record is worked on, and none again once it is in."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from agents.position import FORMAT, Position, SourcePosition, SourceTracker
from streams.errors import StateError

TOPIC = "penstock.support.requests"
OWNER = "cafe"


def stored(position: SourcePosition) -> SourcePosition:
    """Return *position* as the next owner finds it."""
    record = Position(token=OWNER, number=1, shape="s", sources={TOPIC: position})
    return Position.unpack(record.pack()).sources[TOPIC]


def delivered(start: SourcePosition, *offsets: int) -> SourceTracker:
    tracker = SourceTracker(start)
    for offset in offsets:
        tracker.deliver(offset)
    return tracker


class Partition(RuleBasedStateMachine):
    """A partition with gaps, owners that crash, and runs that end in any order."""

    @initialize(gaps=st.lists(st.integers(1, 4), min_size=10, max_size=60))
    def begin(self, gaps: list[int]) -> None:
        self.log: list[int] = []
        at = -1
        for gap in gaps:
            at += gap
            self.log.append(at)
        self.answered: set[int] = set()
        self.committed = SourcePosition(next=0)
        self.own()

    def own(self) -> None:
        self.tracker = SourceTracker(stored(self.committed))
        self.running: set[int] = set()
        self.seek()

    @rule()
    def seek(self) -> None:
        """A rebalance that this owner survives: it reads on where it was."""
        resume = self.tracker.resume
        self.cursor = sum(offset < resume for offset in self.log)

    @rule()
    def crash(self) -> None:
        self.own()

    @rule(number=st.integers(1, 12))
    def deliver(self, number: int) -> None:
        for offset in self.log[self.cursor :][:number]:
            needs_work = self.tracker.deliver(offset)
            assert needs_work is (offset not in self.answered)
            assert not self.tracker.deliver(offset)
            if needs_work:
                self.running.add(offset)
            self.cursor += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data(), in_doubt=st.booleans())
    def commit(self, data: st.DataObject, *, in_doubt: bool) -> None:
        done = frozenset(
            data.draw(st.sets(st.sampled_from(sorted(self.running)), min_size=1))
        )
        self.committed = self.tracker.position(done)
        self.answered |= done
        if in_doubt:
            return self.own()  # it is in, and who wrote it is gone
        self.tracker.finish(done)
        self.running -= done
        assert self.tracker.position() == self.committed
        return None

    @invariant()
    def what_is_covered_is_what_was_answered(self) -> None:
        covered = {o for o in self.log if self.committed.covers(o)}
        assert covered == self.answered

    @invariant()
    def next_passes_no_unfinished_record(self) -> None:
        following = self.tracker.position().next
        assert not {offset for offset in self.running if offset < following}

    @invariant()
    def ranges_ascend_and_do_not_touch_each_other(self) -> None:
        ranges = self.committed.ranges
        assert all(first <= last for first, last in ranges)
        assert all(a[1] < b[0] for a, b in pairwise(ranges))

    @invariant()
    def the_span_counts_from_the_oldest_unfinished_record(self) -> None:
        newest = self.tracker.resume
        assert self.tracker.span == (newest - min(self.running) if self.running else 0)

    @invariant()
    def ranges_stand_above_next(self) -> None:
        assert all(first > self.committed.next for first, _ in self.committed.ranges)


TestPartition = Partition.TestCase
TestPartition.settings = settings(max_examples=40, stateful_step_count=25)


def test_a_record_is_delivered_once_however_often_it_comes():
    tracker = SourceTracker(SourcePosition(next=5))
    assert [tracker.deliver(o) for o in (4, 5, 5, 7, 6, 7)] == [
        *(False, True, False),
        *(True, False, False),
    ]


def test_next_stays_behind_the_oldest_unfinished_record():
    tracker = delivered(SourcePosition(next=0), 0, 1, 2, 3)
    assert tracker.position(frozenset({1, 3})) == SourcePosition(
        next=0, ranges=((1, 1), (3, 3))
    )
    assert tracker.position(frozenset({0, 1, 3})).next == 2


def test_asking_for_a_position_changes_nothing():
    tracker = delivered(SourcePosition(next=0), 0, 1)
    tracker.position(frozenset({0, 1}))
    assert tracker.position() == SourcePosition(next=0)


def test_neighbours_in_delivery_make_one_range_across_a_gap():
    tracker = delivered(SourcePosition(next=0), 0, 2, 5)
    assert tracker.position(frozenset({2, 5})).ranges == ((2, 5),)


def test_next_is_behind_the_last_record_when_all_are_finished():
    tracker = delivered(SourcePosition(next=0), 0, 7)
    tracker.finish(frozenset({0, 7}))
    assert tracker.position() == SourcePosition(next=8)
    assert (tracker.resume, tracker.span) == (8, 0)


def test_ranges_of_an_earlier_owner_survive_until_their_records_come_again():
    start = SourcePosition(next=10, ranges=((12, 15), (18, 19), (30, 40)))
    tracker = delivered(start, 10, 11, 12)
    assert tracker.position() == start
    tracker.finish(frozenset({10}))
    assert tracker.position() == SourcePosition(next=11, ranges=start.ranges)
    assert not tracker.deliver(18)
    assert tracker.deliver(20)


def test_a_range_that_came_again_in_part_is_kept_whole():
    start = SourcePosition(next=0, ranges=((1, 9),))
    tracker = delivered(start, 0, 1, 2)
    found = tracker.position(frozenset({0}))
    assert all(found.covers(offset) for offset in range(10))
    assert not found.covers(10)


def test_covered_records_alone_never_fill_the_span():
    # They need no work, so nothing would ever finish and open the partition again.
    tracker = delivered(SourcePosition(next=0, ranges=((1, 12_000),)), 0)
    tracker.finish(frozenset({0}))
    for offset in range(1, 12_001):
        assert not tracker.deliver(offset)
    assert tracker.span == 0
    assert tracker.position() == SourcePosition(next=12_001)


def test_a_position_comes_back_as_it_was_stored():
    position = Position(
        token=OWNER,
        number=7,
        shape="s",
        sources={"a": SourcePosition(next=3, ranges=((5, 6),))},
    )
    assert Position.unpack(position.pack()) == position


@pytest.mark.parametrize("stored", [b"", b"\x02[]", b"\x00", FORMAT + b"\xff"])
def test_a_newer_or_damaged_record_is_refused(stored):
    with pytest.raises(StateError):
        Position.unpack(stored)


@settings(max_examples=50)
@given(st.binary(max_size=40))
def test_no_bytes_are_read_as_a_record_by_accident(body):
    with pytest.raises(StateError):
        Position.unpack(FORMAT + body)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"3", b'["t",1,"s",[]]', b'["t",1,"s",{"a":[1,[[1]]]}]']
)
def test_json_of_another_shape_is_damage(body):
    with pytest.raises(StateError):
        Position.unpack(FORMAT + body)
