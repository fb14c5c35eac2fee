"""I5: a session is answered in the order of its requests, and its turns are counted."""

from collections.abc import Iterable, Iterator

from tests.faults.history import Terminal, Violation
from tests.faults.index import Index


class Order:
    """What was answered last, session by session."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[int, int]] = {}
        """Offset at home, and turn."""

    def see(self, index: Index, terminals: Iterable[Terminal]) -> Iterator[Violation]:
        """Check *terminals*, which come behind all that were seen before."""
        for terminal in terminals:
            asked = index.first.get(terminal.key)
            if asked is None or index.terminals[terminal.key][0] is not terminal:
                continue  # these are I1's
            whose = (terminal.key.pipeline, terminal.key.home)
            offset, turn = self._last.get(whose, (-1, 0))
            evidence = {
                "session": terminal.key.home,
                "request": terminal.key.request_id,
                "at": str(terminal.at),
            }
            if asked.at.offset < offset:
                yield Violation(
                    invariant=5,
                    what="a session's terminals are not in the order of its requests",
                    evidence=evidence | {"asked": str(asked.at), "before": offset},
                )
            if terminal.turn is not None and terminal.turn != turn + 1:
                yield Violation(
                    invariant=5,
                    what="a session's turns do not count by one",
                    evidence=evidence | {"turn": terminal.turn, "before": turn},
                )
            if asked.at.partition != terminal.at.partition:
                yield Violation(
                    invariant=5,
                    what="a terminal is not on the partition of its request",
                    evidence=evidence | {"asked": str(asked.at)},
                )
            self._last[whose] = (
                max(offset, asked.at.offset),
                turn if terminal.turn is None else terminal.turn,
            )


def in_order(index: Index) -> Iterator[Violation]:
    """Check the whole of a history."""
    yield from Order().see(index, index.history.terminals)
