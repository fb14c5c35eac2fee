"""Scores of values that are not words: JSON, numbers, lists, and texts by character."""

import re
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any, Final

import orjson

from streams.json_form import json_form, json_value
from streams.scores.common_parts import distance

_NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?", re.ASCII)
# Enough digits for the difference of any two such numbers that are close.
_EXACT: Final = Context(prec=100)

Number = int | float | Decimal


def json_equal(answer: Any, expected: Any) -> float:  # noqa: ANN401 - of any type
    """Return 1 if both mean the same JSON; a text is read as JSON.

    The order of keys is of no account, and ``1`` is ``1.0``. An answer that is no JSON
    equals nothing.
    """
    try:
        return float(_same(_json(answer), _json(expected)))
    except ValueError:
        return 0.0


def numeric(
    answer: str | Number, expected: str | Number, tolerance: float, relative: float
) -> float:
    """Return 1 if the numbers are close; a text is read as one, or is close to none.

    They differ by no more than *tolerance*, or than *relative* times the one expected.
    """
    ours, theirs = _number(answer), _number(expected)
    if ours is None or theirs is None:
        return 0.0
    share = _EXACT.multiply(_of_float(relative), abs(theirs))
    apart = abs(_EXACT.subtract(ours, theirs))
    return float(apart <= max(_of_float(tolerance), share))


def levenshtein(answer: str, expected: str) -> float:
    """Return the share of characters that need no editing: 1 - distance / length.

    Raises:
        TooLongError: one of them is too long.
    """
    longest = max(len(answer), len(expected))
    return 1 - distance(answer, expected) / longest if longest else 1.0


def jaccard(answer: Sequence[Any], expected: Sequence[Any]) -> float:
    """Return the share of common elements among all; two empty lists are the same."""
    ours, theirs = set(map(_packed, answer)), set(map(_packed, expected))
    return len(ours & theirs) / len(ours | theirs) if ours or theirs else 1.0


def _json(value: Any) -> Any:  # noqa: ANN401 - of any type
    return orjson.loads(value) if isinstance(value, str) else json_value(value)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - of JSON
    # Python finds that True is 1.
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(
                _same(value, other[name]) for name, value in one.items()
            )
        case list(), list():
            return len(one) == len(other) and all(map(_same, one, other))
        case _:
            return isinstance(one, bool) == isinstance(other, bool) and one == other


def _number(value: str | Number) -> Decimal | None:
    match value:
        case str():
            text = value.strip()
            return Decimal(text) if _NUMBER.fullmatch(text) else None
        case float():
            return _of_float(value)
        case _:
            return Decimal(value)


def _of_float(value: float) -> Decimal:
    # As it is written: 0.1 is meant, not the float next to it.
    return Decimal(repr(value))


def _packed(value: Any) -> bytes:  # noqa: ANN401 - of any type
    return orjson.dumps(value, default=json_form, option=orjson.OPT_SORT_KEYS)
