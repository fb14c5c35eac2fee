"""The position record: what one task has finished, and who may finish more.

Every transaction of a task writes one position record to the ``tasks`` table. It is
the truth; the group's committed offsets are its copy. Offsets above ``next`` finish
out of order (another session's LM was faster), so the record carries them as ranges:
a redelivered record that it covers is skipped, and nothing is paid twice.
"""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Final

import orjson
from msgspec import Struct, field

from streams.errors import StateError, StateNewerError

FORMAT: Final = b"\x01"
"""First byte of a stored record. A worker stops at formats newer than its own."""

KEY: Final = b"position"
"""Key of the record in the ``tasks`` table; one per partition."""

MAX_SPAN: Final = 10_000
"""Offsets between the oldest unfinished record and the newest delivered one; above
it the partition pauses. Bounds the ranges, and what a crash delivers again."""

Range = tuple[int, int]
"""First and last finished offset, both included."""


class SourcePosition(Struct, frozen=True, kw_only=True):
    """What is finished of one source topic's partition."""

    next: int
    """Everything below is finished, or was never there."""
    ranges: tuple[Range, ...] = ()
    """What is finished above *next*, ascending."""

    def covers(self, offset: int) -> bool:
        """Say whether *offset* is finished."""
        return offset < self.next or any(a <= offset <= b for a, b in self.ranges)


class Position(Struct, frozen=True, kw_only=True):
    """The position record of one task."""

    token: str
    """Drawn at random by each owner at acquisition. A token that is not mine means
    that I was replaced, however alive I feel."""
    number: int
    """Counts the owner's transactions from 0; tells whether a doubtful one is in."""
    shape: str
    """Fingerprint of the app's set of pipelines and tables."""
    sources: Mapping[str, SourcePosition] = field(default_factory=dict)
    """By source topic. One that no pipeline reads any more keeps its place: the group
    keeps its offset as well, and a pipeline that comes back goes on there."""

    def pack(self) -> bytes:
        """Return the stored form: a format byte, then JSON."""
        sources = {t: [s.next, s.ranges] for t, s in self.sources.items()}
        return FORMAT + orjson.dumps([self.token, self.number, self.shape, sources])

    def dormant(self, topics: Collection[str]) -> dict[str, SourcePosition]:
        """Return where all other source topics than *topics* stand."""
        return {t: s for t, s in self.sources.items() if t not in topics}

    @classmethod
    def unpack(cls, stored: bytes) -> "Position":
        """Read the stored form back.

        Raises:
            StateNewerError: the format is newer than this worker.
            StateError: it is damaged.
        """
        if stored[:1] > FORMAT:
            raise StateNewerError(WHAT, stored[:1])
        if stored[:1] != FORMAT:
            raise StateError(WHAT, f"damaged: format {stored[:1]!r}")
        try:
            token, number, shape, sources = orjson.loads(stored[1:])
            return cls(
                token=token,
                number=number,
                shape=shape,
                sources={
                    topic: SourcePosition(
                        next=following, ranges=tuple((a, b) for a, b in ranges)
                    )
                    for topic, (following, ranges) in sources.items()
                },
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise StateError(WHAT, f"damaged: {error}") from error


WHAT: Final = "position record"


class SourceTracker:
    """What was delivered and finished of one source topic's partition, live.

    Offsets have gaps (compaction, transaction markers), so only the order of
    delivery tells what lies between two records.
    """

    def __init__(self, start: SourcePosition) -> None:
        self._before = start
        self._high = start.next - 1
        self._delivered: deque[int] = deque()
        self._finished: set[int] = set()

    @property
    def resume(self) -> int:
        """The offset from which the consumer has to go on."""
        return self._high + 1

    @property
    def span(self) -> int:
        """Offsets between the oldest unfinished record and the newest."""
        return self._high + 1 - self._delivered[0] if self._delivered else 0

    def deliver(self, offset: int) -> bool:
        """Take note of a record; return False if it needs no work (again)."""
        if offset <= self._high:
            return False
        self._high = offset
        if self._before.covers(offset):
            # Finished by an earlier owner, out of order: only its place counts.
            if self._delivered:
                self._finished.add(offset)
                self._delivered.append(offset)
            return False
        self._delivered.append(offset)
        return True

    def position(self, also: frozenset[int] = frozenset()) -> SourcePosition:
        """Return what is finished, once the offsets *also* are committed."""
        finished = self._finished | also if also else self._finished
        following = self._high + 1
        for offset in self._delivered:
            if offset not in finished:
                following = offset
                break
        following = max(following, self._before.next)
        beyond = [(a, b) for a, b in self._before.ranges if b > self._high]
        if beyond and beyond[0][0] <= following:
            # Nothing unfinished up to its end: it came again in part.
            following = beyond.pop(0)[1] + 1
        ahead = [o for o in finished if o > following]
        ranges = self._ranges(finished, following, len(ahead)) if ahead else []
        return SourcePosition(next=following, ranges=tuple(_joined(ranges, beyond)))

    def finish(self, offsets: frozenset[int]) -> None:
        """Take note that the transaction which answers *offsets* is in."""
        delivered, finished = self._delivered, self._finished
        finished |= offsets
        while delivered and delivered[0] in finished:
            finished.discard(delivered.popleft())

    def _ranges(
        self, finished: frozenset[int] | set[int], above: int, left: int
    ) -> list[Range]:
        """Group what is finished *above*: neighbours in delivery make one range."""
        ranges: list[Range] = []
        first: int | None = None
        last = -1
        for offset in self._delivered:
            if offset in finished and offset > above:
                first = offset if first is None else first
                last = offset
                left -= 1
                if not left:
                    break
            elif first is not None:
                ranges.append((first, last))
                first = None
        if first is not None:
            ranges.append((first, last))
        return ranges


def _joined(ahead: list[Range], beyond: list[Range]) -> list[Range]:
    """Append ranges of an earlier owner that were not redelivered in full yet."""
    if not beyond or not ahead:
        return ahead + beyond
    (first, last), (start, end) = ahead[-1], beyond[0]
    if start <= last + 1:
        return [*ahead[:-1], (min(first, start), end), *beyond[1:]]
    return ahead + beyond
