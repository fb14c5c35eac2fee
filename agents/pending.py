"""What waits for its transaction: settlements, and what they will change."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from agents.position import Position
from streams.settlement import Settlement, Write


class Pending(Struct, frozen=True, kw_only=True):
    """A settlement on its way, and what to settle instead if it is refused."""

    settlement: Settlement
    instead: "Callable[[str], Pending | None]"
    """Given the broker's reason: what a caller gets for a record that Kafka will
    never take. None: nothing can be smaller, hold the task."""


def nothing_smaller(_reason: str) -> None:
    """Say that a refused settlement has nothing to stand for it."""


class Overlay(Struct):
    """Writes that are settled and not yet committed; reads see them first."""

    writes: dict[tuple[str, bytes], Write] = field(default_factory=dict)

    def add(self, writes: Iterable[Write]) -> None:
        """Let readers see *writes*."""
        for write in writes:
            self.writes[write.table, write.key] = write

    def replace(self, old: Iterable[Write], new: Iterable[Write]) -> None:
        """Let *new* stand for *old*, except where readers see a later write already.

        Whoever settled later has seen *old*: what it wrote is newer than *new*.
        """
        self.discard(old)
        for write in new:
            self.writes.setdefault((write.table, write.key), write)

    def discard(self, writes: Iterable[Write]) -> None:
        """Forget those of *writes* that no later one has replaced."""
        for write in writes:
            if self.writes.get((write.table, write.key)) is write:
                del self.writes[write.table, write.key]


class Group(Struct, frozen=True, kw_only=True):
    """What one transaction makes true, fixed before its first try."""

    settlements: tuple[Settlement, ...]
    writes: tuple[Write, ...]
    """The last write of each key."""
    finished: Mapping[str, frozenset[int]]
    """Source offsets that it answers, by topic."""
    position: Position


def finished_offsets(
    settlements: Iterable[Settlement],
) -> dict[str, frozenset[int]]:
    """Return the source offsets that *settlements* answer, by topic."""
    by_topic: dict[str, set[int]] = {}
    for settlement in settlements:
        source = settlement.source
        if source is not None:
            by_topic.setdefault(source.topic, set()).add(source.offset)
    return {topic: frozenset(offsets) for topic, offsets in by_topic.items()}


def size_of(settlement: Settlement) -> int:
    """Return the bytes of what *settlement* publishes and writes."""
    published = sum(len(record.value or b"") for record in settlement.records)
    return published + sum(len(write.value or b"") for write in settlement.writes)
