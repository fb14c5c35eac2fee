"""I1: exactly one terminal for each request, and none for what nobody asked."""

from collections.abc import Iterable, Iterator

from tests.faults.history import Terminal, Violation
from tests.faults.index import Index


def terminals_once(index: Index) -> Iterator[Violation]:
    """Check the whole of a history."""
    for asked in index.executed():
        if asked.key not in index.terminals:
            yield Violation(
                invariant=1,
                what="a request has no terminal",
                evidence={"request": asked.key, "at": str(asked.at)},
            )
    yield from no_second_terminal(index, index.history.terminals)


def no_second_terminal(
    index: Index, terminals: Iterable[Terminal]
) -> Iterator[Violation]:
    """Check what holds at any time, for *terminals* that are new."""
    for terminal in terminals:
        evidence = {"request": terminal.key, "at": str(terminal.at)}
        same = index.terminals[terminal.key]
        if same[0] is not terminal:
            yield Violation(
                invariant=1,
                what="a request has a second terminal",
                evidence=evidence | {"first": str(same[0].at)},
            )
        asked = index.first.get(terminal.key)
        if asked is None:
            yield Violation(
                invariant=1, what="a terminal that nobody asked for", evidence=evidence
            )
        elif terminal.source != asked.entered:
            yield Violation(
                invariant=1,
                what="a terminal answers another record than the first",
                evidence=evidence
                | {"names": str(terminal.source), "first": str(asked.entered)},
            )
