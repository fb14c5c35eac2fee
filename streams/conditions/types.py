"""How CEL sees fields: their types, and values made of what it knows."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from streams.json_form import json_form
from streams.signatures.types import (
    Choice,
    DecimalOf,
    FieldType,
    Limited,
    ListOf,
    MapOf,
    RecordOf,
    Scalar,
    TupleOf,
)

CelType = str | tuple["CelType", ...]
"""``int``, or ``("list", "int")``, or ``("map", "dyn")``, whose keys are text."""

_SCALARS: Final[Mapping[str, str]] = {
    "str": "string",
    "int": "int",
    "float": "double",
    "bool": "bool",
    "bytes": "bytes",
    "date": "string",
    "datetime": "timestamp",
}

TAKEN: Final = frozenset(
    {"bool", "bytes", "double", "dyn", "int", "list"}
    | {"map", "null_type", "string", "type", "uint"}
)
"""Names that CEL has for its types: no field of such a name can be read."""


def cel_type(kind: FieldType) -> CelType:  # noqa: C901, PLR0911 - one case a type
    """Return what CEL takes a value of *kind* for; ``dyn`` is checked when it runs."""
    match kind:
        case Scalar():
            return _SCALARS[kind.name]
        case DecimalOf():
            return "double"
        case Choice():
            return "string" if isinstance(kind.values[0], str) else "int"
        case Limited():
            return cel_type(kind.inner)
        case ListOf():
            return ("list", _inner(kind.item))
        case MapOf():
            return ("map", _inner(kind.value))
        case TupleOf():
            return ("list", "dyn")
        case RecordOf():
            return ("map", "dyn")
        case _:
            return "dyn"


def _inner(kind: FieldType) -> CelType:
    said = cel_type(kind)
    # CEL takes Python's moments for its own at the top only: inside they are text.
    return "string" if said == "timestamp" else said


def converter(kind: CelType) -> Callable[[Any], Any]:
    """Return what makes a value of *kind* one of CEL's."""
    # A moment stays one here, and becomes text inside of anything else.
    return _as_it_is if kind == "timestamp" else _plain_value


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 - of a field
    return value


def _plain_value(value: Any) -> Any:  # noqa: ANN401 - of a field
    """Return *value* made of what CEL knows."""
    match value:
        case None | str() | int() | float() | bytes():
            return value
        case Decimal():
            return float(value)
        case list() | tuple():
            return [_plain_value(item) for item in value]
        case dict():
            return {name: _plain_value(item) for name, item in value.items()}
        case date():  # and a moment, which is one
            return json_form(value)
        case _:
            raise TypeError(type(value).__name__)
