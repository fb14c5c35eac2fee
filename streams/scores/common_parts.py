"""What two sequences have in common, and how far apart they are, found with long bits.

Both take the product of the lengths, a machine word of the shorter at a time: the rows
of the classic tables are one whole number each (Hyyrö 2004; Myers 1999). Still a
product: sequences have at most :data:`MAX_ELEMENTS`.
"""

from collections.abc import Hashable, Sequence
from typing import Final

MAX_ELEMENTS: Final = 10_000
"""Words or characters of one side: a tenth of a second of the event loop at most."""


class TooLongError(Exception):
    """A sequence is too long to be compared."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} to compare, at most {MAX_ELEMENTS} are")


def longest_common(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Return the length of the longest common subsequence.

    Raises:
        TooLongError: one of them is too long.
    """
    places = _places(one, other)
    row = whole = (1 << len(one)) - 1
    for element in other:
        match = row & places.get(element, 0)
        row = ((row + match) | (row - match)) & whole
    # A zero for each element of the subsequence.
    return len(one) - row.bit_count()


def distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Return Levenshtein's distance: inserted, deleted and replaced elements.

    Raises:
        TooLongError: one of them is too long.
    """
    if not one:
        return len(other)
    places = _places(one, other)
    whole, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    # Where the column of the table goes up by one, and where it goes down.
    up, down, steps = whole, 0, len(one)
    for element in other:
        match = places.get(element, 0)
        level = (((match & up) + up) ^ up) | match | down
        right_up, right_down = (down | ~(level | up)) & whole, up & level
        steps += bool(right_up & last) - bool(right_down & last)
        right_up, right_down = (right_up << 1 | 1) & whole, (right_down << 1) & whole
        match |= down
        up, down = (right_down | ~(match | level | right_up)) & whole, right_up & level
    return steps


def _places(one: Sequence[Hashable], other: Sequence[Hashable]) -> dict[Hashable, int]:
    """Return for each element of *one* the bits of its places."""
    longest = max(len(one), len(other))
    if longest > MAX_ELEMENTS:
        raise TooLongError(longest)
    places: dict[Hashable, int] = {}
    for index, element in enumerate(one):
        places[element] = places.get(element, 0) | 1 << index
    return places
