"""Which transaction a record came in: owners' transactions, one after the other.

Every transaction of an owner writes one position record, as its last record. So what
a producer made before one, and after the one before, is of that transaction. The
producer's own timestamps tell: the broker may write markers of one transaction far
apart, as when it is stopped in between.
"""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.faults.history import Batch, History

OTHER_PRODUCER_MS: Final = 1_000
"""Between two producers only markers can be compared."""

TASKS: Final = "-tasks-changelog"


class Place(NamedTuple):
    """A transaction's place among those of one transactional id."""

    epoch: int
    number: int


@dataclass(slots=True)
class Transactions:
    """Look-ups by what the broker's log says of producers."""

    _ends: dict[tuple[int, int, int], list[Batch]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Position records by partition, producer and epoch, aborted ones as well."""

    @classmethod
    def of(cls, history: History) -> "Transactions":
        """Return the transactions of all owners in *history*."""
        found = cls()
        for (topic, partition), batches in history.batches.items():
            if topic.endswith(TASKS):
                for batch in batches:
                    whose = (partition, batch.producer, batch.epoch)
                    found._ends[whose].append(batch)
        return found

    def end_of(self, batch: Batch) -> Batch | None:
        """Return the position record of a batch's transaction; None without one."""
        place = self.place_of(batch)
        if place is None:
            return None
        return self._ends[self._whose(batch)][place.number]

    def place_of(self, batch: Batch) -> Place | None:
        """Return which transaction a batch came in; None if no owner's."""
        ends = self._ends.get(self._whose(batch), [])
        number = bisect_left(ends, batch.created_ms, key=lambda end: end.created_ms)
        return Place(batch.epoch, number) if number < len(ends) else None

    def is_later(self, one: Batch, other: Batch) -> bool:
        """Say whether *one* came in a later transaction than *other*."""
        places = self.place_of(one), self.place_of(other)
        if one.producer == other.producer and None not in places:
            return places[0] > places[1]
        return one.ended_ms > other.ended_ms + OTHER_PRODUCER_MS

    def _whose(self, batch: Batch) -> tuple[int, int, int]:
        return (batch.at.partition, batch.producer, batch.epoch)
