"""Checkers of bounds: of a number's value, of anything else's length, of a pattern."""

from typing import Any

from streams.signatures.alternatives import shape_of
from streams.signatures.misfit import Checker, MisfitError
from streams.signatures.patterns import Matches, compile_pattern
from streams.signatures.types import DecimalOf, Limited, shown_bound


def limit_checker(kind: Limited, check_inner: Checker) -> Checker:
    """Return *check_inner*, and then the limits of *kind*."""
    check_bounds = _bounds_checker(kind)
    matches = None if kind.pattern is None else compile_pattern(kind.pattern)

    def check(value: object) -> object:
        checked = check_inner(value)
        check_bounds(checked)
        if matches is not None:
            _check_pattern(kind, matches, checked)
        return checked

    return check


def _bounds_checker(kind: Limited) -> Checker:
    low, high = kind.low, kind.high
    measures_value = shape_of(kind) == "number" or isinstance(kind.inner, DecimalOf)

    def check(value: Any) -> None:  # noqa: ANN401 - a number, or what has a length
        size = value if measures_value else len(value)
        if low is not None and size < low:
            raise MisfitError(wanted=str(kind), got=f"{less} than {shown_low}")
        if high is not None and size > high:
            raise MisfitError(wanted=str(kind), got=f"{more} than {shown_high}")

    less, more = ("less", "more") if measures_value else ("fewer", "more")
    shown_low, shown_high = shown_bound(low), shown_bound(high)
    return check


def _check_pattern(kind: Limited, matches: Matches, value: Any) -> None:  # noqa: ANN401 - a str
    if not matches(value):
        raise MisfitError(wanted=str(kind), got="a text of another pattern")
