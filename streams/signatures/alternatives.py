"""Which types may share a place: a value must say itself which of them it is.

Values travel as Avro, and wait in stores as JSON. In JSON a date and a text look the
same, in Avro a date and a whole number do: a union of such two is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.types import (
    Choice,
    CodeOf,
    DecimalOf,
    FieldType,
    HistoryType,
    ImageType,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    RecordOf,
    Scalar,
    ScalarName,
    TupleListOf,
    TupleOf,
)

Shape = Literal["text", "number", "truth", "list", "object", "several"]
"""What a value is in JSON."""

Kind = Literal["string", "bytes", "number", "boolean", "array", "record", "union"]
"""What a value is in Avro, as far as writers tell branches of a union apart."""

_SHAPES: Final[Mapping[ScalarName, Shape]] = {
    "str": "text",
    "bytes": "text",
    "date": "text",
    "datetime": "text",
    "int": "number",
    "float": "number",
    "bool": "truth",
}
_KINDS: Final[Mapping[ScalarName, Kind]] = {
    "str": "string",
    "bytes": "bytes",
    "date": "number",
    "datetime": "number",
    "int": "number",
    "float": "number",
    "bool": "boolean",
}

_TYPES: Final[Mapping[ScalarName, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "bytes": (bytes, str),
    "date": (date, str),
    "datetime": (datetime, str),
}
_ORDER: Final[tuple[Kind, ...]] = (
    "string",
    "bytes",
    "number",
    "boolean",
    "array",
    "record",
    "union",
)


def shape_of(kind: FieldType) -> Shape:  # noqa: PLR0911 - one case a type
    """Return what values of *kind* are in JSON."""
    match kind:
        case Scalar():
            return _SHAPES[kind.name]
        case DecimalOf() | ImageType() | CodeOf():
            return "text"
        case Choice():
            return "text" if isinstance(kind.values[0], str) else "number"
        case Limited() | Maybe():
            return shape_of(kind.inner)
        case ListOf() | TupleOf() | HistoryType():
            return "list"
        case MapOf() | RecordOf():
            return "object"
        case OneOf():
            return "several"


def kind_of(kind: FieldType) -> Kind:  # noqa: C901, PLR0911 - one case a type
    """Return what values of *kind* are in Avro."""
    match kind:
        case Scalar():
            return _KINDS[kind.name]
        case DecimalOf():
            return "bytes"
        case ImageType() | CodeOf():
            return "string"
        case Choice():
            return "string" if isinstance(kind.values[0], str) else "number"
        case Limited() | Maybe():
            return kind_of(kind.inner)
        case ListOf() | TupleOf() | HistoryType():
            return "array"
        case MapOf() | RecordOf():
            return "record"
        case OneOf():
            return "union"


def types_of(kind: FieldType) -> tuple[type, ...]:  # noqa: C901, PLR0911 - one case a type
    """Return the Python types of values of *kind*, their JSON forms among them."""
    match kind:
        case Scalar():
            return _TYPES[kind.name]
        case Choice():
            return (type(kind.values[0]),)
        case Limited() | Maybe():
            return types_of(kind.inner)
        case DecimalOf():
            return (Decimal, str)
        case TupleListOf() | TupleOf():
            return (list, tuple)
        case ListOf():
            return (list,)
        case MapOf() | RecordOf():
            return (dict,)
        case ImageType() | CodeOf() | OneOf() | HistoryType():
            return ()  # none of them is ever a member of a union


def united(members: Sequence[FieldType], *, optional: bool) -> FieldType:
    """Return the type of values of one of *members*, or of none if *optional*.

    They are told apart (:func:`clash`), and none of them is optional or a union itself.
    """
    one = members[0] if len(members) == 1 else OneOf(_in_order(members))
    return Maybe(one) if optional else one


def _in_order(members: Iterable[FieldType]) -> tuple[FieldType, ...]:
    """Return *members* of a union in the one order in which it is written."""
    return tuple(sorted(members, key=lambda member: _ORDER.index(kind_of(member))))


def _is_alone(kind: FieldType) -> bool:
    # DSPy makes objects of their values: of which type one is could not be seen.
    return isinstance(kind, ImageType | CodeOf) or kind in (TOOL, TOOL_CALLS)


def clash(members: Sequence[FieldType]) -> str | None:
    """Say which two of *members* could be taken for each other; None if none could."""
    for one in members if len(members) > 1 else ():
        if _is_alone(one.inner if isinstance(one, Limited) else one):
            return f"{one} shares its place with nothing but None"
    for index, one in enumerate(members):
        for other in members[:index]:
            if shape_of(one) == shape_of(other):
                return f"{other} and {one} look the same in JSON"
            if kind_of(one) == kind_of(other):
                return f"{other} and {one} look the same in Avro"
    return None
