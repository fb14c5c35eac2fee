"""Defaults as an Avro schema writes them, which is not how JSON values look.

A date is its days since 1970, bytes and exact numbers are text of one character a byte.
"""

from datetime import timedelta
from decimal import Context, Decimal
from typing import Any, Final

from streams.signatures.alternatives import kind_of, types_of
from streams.signatures.scalars import EPOCH
from streams.signatures.types import (
    BYTES,
    DATE,
    DATETIME,
    MAX_DIGITS,
    DecimalOf,
    FieldType,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    RecordOf,
    TupleListOf,
    TupleOf,
)

NO_DEFAULT: Final = (
    ArithmeticError,
    AttributeError,
    KeyError,
    StopIteration,
    TypeError,
    ValueError,
)
"""What reading a default raises that is none of its type: anybody writes schemas."""


def decimal_bytes(digits: int) -> int:
    """Return the bytes that hold every number of so many *digits*, and its sign."""
    most: int = 10**digits - 1
    return most.bit_length() // 8 + 1


def to_default(kind: FieldType, value: Any) -> Any:  # noqa: ANN401, C901, PLR0911 - one case a type
    """Return *value* of *kind* as a schema writes it."""
    if value is None:
        return None
    match kind:
        case Maybe() | Limited():
            return to_default(kind.inner, value)
        case OneOf():
            members = (m for m in kind.members if type(value) in types_of(m))
            return to_default(next(members), value)
        case ListOf():
            return [to_default(kind.item, item) for item in value]
        case TupleOf():
            return list(map(to_default, kind.items, value))
        case MapOf():
            return {k: to_default(kind.value, v) for k, v in value.items()}
        case RecordOf():
            return {f.name: to_default(f.type, value[f.name]) for f in kind.fields}
        case DecimalOf():
            unscaled = int(value.scaleb(kind.places, Context(prec=kind.digits)))
            size = decimal_bytes(kind.digits)
            return unscaled.to_bytes(size, "big", signed=True).decode("latin-1")
        case _:
            return _to_scalar(kind, value)


def _to_scalar(kind: FieldType, value: Any) -> Any:  # noqa: ANN401 - both as JSON
    if kind == DATE:
        return (value - EPOCH.date()).days
    if kind == DATETIME:
        return (value - EPOCH) // timedelta(microseconds=1)
    return value.decode("latin-1") if kind == BYTES else value


def from_default(kind: FieldType, value: Any) -> Any:  # noqa: ANN401, C901, PLR0911 - one case a type
    """Return the value of *kind* that a schema writes as *value*."""
    if value is None:
        return None
    match kind:
        case Maybe() | Limited():
            return from_default(kind.inner, value)
        case OneOf():
            return from_default(_member(kind, value), value)
        case TupleListOf():
            return tuple(from_default(kind.item, item) for item in value)
        case ListOf():
            return [from_default(kind.item, item) for item in value]
        case TupleOf():
            pairs = zip(kind.items, value, strict=True)
            return tuple(from_default(item, each) for item, each in pairs)
        case MapOf():
            return {k: from_default(kind.value, v) for k, v in value.items()}
        case RecordOf():
            return {f.name: from_default(f.type, value[f.name]) for f in kind.fields}
        case DecimalOf():
            return _exact(value, kind.places)
        case _:
            return _scalar(kind, value)


def _scalar(kind: FieldType, value: Any) -> Any:  # noqa: ANN401 - both as JSON
    if kind == DATE:
        return EPOCH.date() + timedelta(days=value)
    if kind == DATETIME:
        return EPOCH + timedelta(microseconds=value)
    return value.encode("latin-1") if kind == BYTES else value


def _exact(value: str, places: int) -> Decimal:
    unscaled = int.from_bytes(value.encode("latin-1"), "big", signed=True)
    return Decimal(unscaled).scaleb(-places, Context(prec=MAX_DIGITS))


def _member(kind: OneOf, value: object) -> FieldType:
    """Return the member that a default in a schema is of.

    Dates are numbers there; nothing else that may share a union with one is.
    """
    numbers = (m for m in kind.members if kind_of(m) == "number")
    if type(value) in (int, float):
        return next(numbers)
    return next(m for m in kind.members if type(value) in types_of(m))
