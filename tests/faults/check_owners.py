"""I10: who lost a partition publishes nothing for it.

Owners are known by the tokens in their position records, and by producer id and epoch
in the broker's log. Whatever an app publishes is in a transaction that also wrote a
position record of the same partition: nothing else may ever be visible.
"""

from collections.abc import Iterable, Iterator, Sequence

from tests.faults.history import Batch, Position, Violation
from tests.faults.index import Index


class Owners:
    """Who owned each partition, in the order of position records."""

    def __init__(self) -> None:
        self._now: dict[int, Position] = {}
        self._gone: set[tuple[int, str]] = set()

    def see(self, positions: Iterable[Position]) -> Iterator[Violation]:
        """Check *positions*, which come behind all that were seen before."""
        for position in positions:
            partition = position.at.partition
            before = self._now.get(partition)
            evidence = {"at": str(position.at), "token": position.token}
            if (partition, position.token) in self._gone:
                yield Violation(
                    invariant=10,
                    what="an owner that was replaced wrote again",
                    evidence=evidence,
                )
            elif before is not None and before.token == position.token:
                if position.number <= before.number:
                    yield Violation(
                        invariant=10,
                        what="an owner's transactions do not count up",
                        evidence=evidence
                        | {"number": position.number, "before": before.number},
                    )
            elif before is not None:
                self._gone.add((partition, before.token))
            self._now[partition] = position


def owners_only(index: Index) -> Iterator[Violation]:
    """Check the whole of a history."""
    yield from Owners().see(index.history.positions)
    for (topic, _), batches in index.history.batches.items():
        yield from _epochs(batches)
        if topic.endswith(".requests"):
            continue  # everybody may write there
        for batch in batches:
            # The first record of a changelog is what `topics apply` gave it.
            if batch.at.offset or not topic.endswith("-changelog"):
                yield from _owned(index, batch)


def _owned(index: Index, batch: Batch) -> Iterator[Violation]:
    """Check that *batch* came in a whole transaction of an owner."""
    if not batch.transactional:
        yield _violation("a record outside a transaction", batch)
    elif batch.outcome == "committed":
        end = index.transactions.end_of(batch)
        if end is None:
            yield _violation("a transaction without a position record", batch)
        elif end.outcome != "committed":
            yield _violation("a transaction of which only a part is visible", batch)


def _epochs(batches: Sequence[Batch]) -> Iterator[Violation]:
    latest: dict[int, int] = {}
    for batch in batches:
        if batch.outcome != "committed":
            continue
        if batch.epoch < latest.get(batch.producer, 0):
            yield _violation("a fenced epoch of a producer is visible", batch)
        latest[batch.producer] = batch.epoch


def _violation(what: str, batch: Batch) -> Violation:
    return Violation(
        invariant=10,
        what=what,
        evidence={
            "at": str(batch.at),
            "producer": batch.producer,
            "epoch": batch.epoch,
        },
    )
