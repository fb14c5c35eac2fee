"""Does this value have that type? One compiled checker per type, made for speed.

A checker returns the value as the pipeline will see it, or raises :class:`MisfitError`.
It converts only what loses nothing: a whole number becomes a float where one is
declared. It refuses what would not survive the way through JSON and Avro: NaN and
infinity, whole numbers beyond 64 bits, text with lone surrogates. Lists and dicts are
copied, so that nobody shares them with the sender.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.signatures.types import (
    BOOL,
    FLOAT,
    INT,
    STR,
    Choice,
    FieldType,
    HistoryType,
    ListOf,
    MapOf,
    Maybe,
    Scalar,
)

Checker = Callable[[Any], Any]


class MisfitError(Exception):
    """A value does not have its type. Caught where the field's name is known."""

    def __init__(self, *, wanted: str, got: str, path: str = "") -> None:
        super().__init__(f"expected {wanted}, got {got}" + (path and f" at {path}"))
        self.wanted = wanted
        self.got = got
        self.path = path

    def within(self, step: object) -> "MisfitError":
        """Return the same misfit, seen from the list or dict that has it at *step*."""
        path = f"[{step!r}]{self.path}"
        return MisfitError(wanted=self.wanted, got=self.got, path=path)


def checker(kind: FieldType) -> Checker:
    """Return the function that checks values of *kind*."""
    match kind:
        case Scalar():
            return _SCALARS[kind.name]
        case Choice():
            return _choice(kind)
        case ListOf():
            return _list(kind)
        case MapOf():
            return _map(kind)
        case Maybe():
            return _maybe(kind)
        case HistoryType():
            return _never


def is_int64(value: object) -> bool:
    """Say whether *value* is a whole number that Avro's ``long`` can hold."""
    return type(value) is int and -(2**63) <= value < 2**63


def _unlike(wanted: object, value: object) -> MisfitError:
    # The type of what came, never the value: messages travel further than values.
    got = "None" if value is None else type(value).__name__
    return MisfitError(wanted=str(wanted), got=got)


def _text(value: object) -> str:
    if type(value) is not str:
        raise _unlike(STR, value)
    # isascii is free; only other text is searched for surrogates, by encoding it.
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise MisfitError(wanted="Unicode text", got="a lone surrogate") from error
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise _unlike(INT, value)
    if not is_int64(value):
        raise MisfitError(wanted="a whole number of 64 bits", got="a larger one")
    return value


def _number(value: object) -> float:
    if type(value) is float:
        if not math.isfinite(value):
            raise MisfitError(wanted="a finite number", got=str(value))
        return value
    if type(value) is not int:
        raise _unlike(FLOAT, value)
    # Beyond 2**53 some whole numbers have no float of their own.
    if not -(2**53) <= value <= 2**53:
        raise MisfitError(wanted="float", got="a whole number that no float equals")
    return float(value)


def _truth(value: object) -> bool:
    if type(value) is not bool:
        raise _unlike(BOOL, value)
    return value


def _never(_value: object) -> object:
    raise MisfitError(wanted="nothing: a session makes its history", got="a value")


_SCALARS: Final[Mapping[str, Checker]] = {
    "str": _text,
    "int": _whole,
    "float": _number,
    "bool": _truth,
}


def _choice(kind: Choice) -> Checker:
    allowed = frozenset(kind.values)
    type_ = type(kind.values[0])
    wanted = f"one of {', '.join(map(repr, kind.values))}"

    def check(value: object) -> object:
        # The type first: 1 == True, and lists have no hash.
        if type(value) is not type_:
            raise _unlike(wanted, value)
        if value not in allowed:
            raise MisfitError(wanted=wanted, got="another")
        return value

    return check


def _list(kind: ListOf) -> Checker:
    check_item = checker(kind.item)

    def check(value: object) -> list[Any]:
        if type(value) is not list:
            raise _unlike(kind, value)
        checked = []
        for index, item in enumerate(value):
            try:
                checked.append(check_item(item))
            except MisfitError as misfit:
                raise misfit.within(index) from None
        return checked

    return check


def _map(kind: MapOf) -> Checker:
    check_value = checker(kind.value)

    def check(value: object) -> dict[str, Any]:
        if type(value) is not dict:
            raise _unlike(kind, value)
        checked = {}
        for key, each in value.items():
            try:
                checked[_text(key)] = check_value(each)
            except MisfitError as misfit:
                raise misfit.within(key) from None
        return checked

    return check


def _maybe(kind: Maybe) -> Checker:
    check_inner = checker(kind.inner)

    def check(value: object) -> object:
        return None if value is None else check_inner(value)

    return check
