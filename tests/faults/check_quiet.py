"""I9: once all is healed, nothing lags and no transaction is left open."""

from collections.abc import Iterator

from tests.faults.history import Violation
from tests.faults.index import Index


def all_quiet(index: Index) -> Iterator[Violation]:
    """Check the whole of a history, after the time that healing may take."""
    history = index.history
    for (topic, partition), (stable, end) in history.ends.items():
        if stable < end:
            yield Violation(
                invariant=9,
                what="a transaction holds back what was written",
                evidence={
                    "topic": topic,
                    "partition": partition,
                    "stable": stable,
                    "end": end,
                },
            )
    last = {position.at.partition: position for position in history.positions}
    for asked in history.asked:
        position = last.get(asked.at.partition)
        if position is None or not position.covers(asked.at):
            yield Violation(
                invariant=9,
                what="a record still waits",
                evidence={"at": str(asked.at)},
            )
    for partition, position in last.items():
        for topic, (following, _) in position.sources.items():
            committed = history.committed.get((topic, partition), following)
            if committed != following:
                yield Violation(
                    invariant=9,
                    what="the group's offset is not that of the position record",
                    evidence={
                        "topic": topic,
                        "partition": partition,
                        "group": committed,
                        "record": following,
                    },
                )
