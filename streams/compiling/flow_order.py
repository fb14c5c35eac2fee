"""Who has to wait for whom in a sequence: derived from what each reads and makes."""

from collections import defaultdict
from collections.abc import Collection, Sequence

Touched = tuple[Collection[str], Collection[str]]
"""The fields that a node reads, and those that it makes."""


def order_of(nodes: Sequence[Touched]) -> tuple[frozenset[int], ...]:
    """Return for each node those before it that have to end before it begins.

    It waits for the last maker of what it reads or makes, and for the readers since
    then of what it makes. Earlier makers and readers are waited for by that maker.
    """
    maker: dict[str, int] = {}
    readers: defaultdict[str, set[int]] = defaultdict(set)
    order = []
    for index, (reads, makes) in enumerate(nodes):
        after = {maker[name] for name in (*reads, *makes) if name in maker}
        for name in makes:
            after |= readers[name]
        for name in reads:
            readers[name].add(index)
        for name in makes:
            maker[name] = index
            readers[name] = set()
        order.append(frozenset(after))
    return tuple(order)


def is_chain(order: Sequence[frozenset[int]]) -> bool:
    """Say whether each node waits for the one before it: then there is one order."""
    return all(index - 1 in after for index, after in enumerate(order) if index)
