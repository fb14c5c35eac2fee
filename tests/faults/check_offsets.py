"""I2 and I3: what is called finished is finished, and was no later than it was called.

The position record is the app's word, and rides in the same transaction as the answer
that it counts. Which transaction that was is in the broker's log.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator

from tests.faults.history import Asked, Position, Violation
from tests.faults.index import Index


def nothing_skipped(index: Index) -> Iterator[Violation]:
    """I2: no record below a committed offset lacks what settles it."""
    committed = index.history.committed
    for asked in index.history.asked:
        following = committed.get((asked.at.topic, asked.at.partition), 0)
        if asked.at.offset < following and not index.outcomes(asked):
            yield Violation(
                invariant=2,
                what="a record below the committed offset is not settled",
                evidence={"at": str(asked.at), "committed": following},
            )


def finished_in_time(index: Index) -> Iterator[Violation]:
    """I3: nothing is called finished before the transaction that settles it."""
    for position, asked in newly_finished(index, index.history.positions):
        outcomes = index.outcomes(asked)
        if not outcomes:
            yield unsettled(position, asked)
        elif all(index.is_later(at, position.at) for at in outcomes):
            yield Violation(
                invariant=3,
                what="a record was called finished before it was settled",
                evidence={
                    "at": str(asked.at),
                    "position": str(position.at),
                    "settled": str(outcomes[0]),
                },
            )


def unsettled(position: Position, asked: Asked) -> Violation:
    """Return the violation of a record that is called finished and is not settled."""
    return Violation(
        invariant=3,
        what="a record is called finished, and nothing settles it",
        evidence={"at": str(asked.at), "position": str(position.at)},
    )


def newly_finished(
    index: Index, positions: Iterable[Position]
) -> Iterator[tuple[Position, Asked]]:
    """Return each record with the first of *positions* that calls it finished."""
    yield from Finished(index).by(positions)


class Finished:
    """Which records were called finished, position by position."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._asked: defaultdict[tuple[str, int], dict[int, Asked]] = defaultdict(dict)
        self._offsets: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        self._low: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._taken = 0

    def by(self, positions: Iterable[Position]) -> Iterator[tuple[Position, Asked]]:
        """Return what *positions* call finished for the first time."""
        self._take_in()
        for position in positions:
            for topic, (following, ranges) in position.sources.items():
                tp = (topic, position.at.partition)
                for asked in self._below(tp, following):
                    yield position, asked
                for begin, end in ranges:
                    for asked in self._between(tp, begin, end):
                        yield position, asked

    def _take_in(self) -> None:
        for asked in self._index.history.asked[self._taken :]:
            tp = (asked.at.topic, asked.at.partition)
            self._asked[tp][asked.at.offset] = asked
            self._offsets[tp].append(asked.at.offset)
        self._taken = len(self._index.history.asked)

    def _below(self, tp: tuple[str, int], following: int) -> Iterator[Asked]:
        offsets, low = self._offsets[tp], self._low[tp]
        while low < len(offsets) and offsets[low] < following:
            asked = self._asked[tp].pop(offsets[low], None)
            low += 1
            if asked is not None:
                yield asked
        self._low[tp] = low

    def _between(self, tp: tuple[str, int], begin: int, end: int) -> Iterator[Asked]:
        offsets = self._offsets[tp]
        at = bisect_left(offsets, begin)
        while at < len(offsets) and offsets[at] <= end:
            asked = self._asked[tp].pop(offsets[at], None)
            at += 1
            if asked is not None:
                yield asked
