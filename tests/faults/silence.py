"""How long a partition was without results after a fault."""

from collections.abc import Iterable
from typing import Final

from tests.faults.history import Terminal

DYING_MS: Final = 300
"""A worker that is killed may write until it is dead."""


def next_results_ms(terminals: Iterable[Terminal], begin_ms: int) -> int:
    """Return when the last partition brought its first result after a fault's begin.

    Epoch milliseconds, by the clocks of the workers; *begin_ms* if nothing came.
    """
    first: dict[int, int] = {}
    for terminal in terminals:
        if terminal.written_ms > begin_ms + DYING_MS:
            known = first.get(terminal.at.partition, terminal.written_ms)
            first[terminal.at.partition] = min(known, terminal.written_ms)
    return max(first.values(), default=begin_ms)
