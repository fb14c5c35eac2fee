"""Which types a tuple may hold: in Avro it is an array, and arrays have one item type.

Items of several types make that type a union, so whoever reads the array must be able
to tell them apart; items of one Avro type may still have limits of their own.
"""

from collections.abc import Sequence
from typing import Final

from streams.signatures.alternatives import kind_of
from streams.signatures.types import FLOAT, INT, FieldType, Limited, Scalar

ANY_LENGTH: Final = "a tuple of any length is written tuple[T, ...]"


def plain_items(items: Sequence[FieldType]) -> list[FieldType]:
    """Return the different types of *items* without limits; int before float.

    The order counts: writers take the first branch that fits, and a whole number
    fits a float as well.
    """
    plain = [item.inner if isinstance(item, Limited) else item for item in items]
    return sorted(dict.fromkeys(plain), key=lambda kind: kind == FLOAT)


def tuple_problem(items: Sequence[FieldType]) -> str | None:
    """Say why no tuple can hold *items*; None if one can."""
    plain = plain_items(items)
    for kind in plain:
        if not isinstance(kind, Scalar):
            return f"a tuple holds plain values, not {kind}: write a record of `types:`"
    for index, one in enumerate(plain):
        for other in plain[:index]:
            if kind_of(one) == kind_of(other) and {one, other} != {INT, FLOAT}:
                return f"{other} and {one} look the same in Avro: write a record"
    return None
