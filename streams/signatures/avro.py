"""Avro fields for typed fields: what producers and consumers of a pipeline see."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from streams.signatures.types import (
    Choice,
    Field,
    FieldType,
    HistoryType,
    ListOf,
    MapOf,
    Maybe,
    Scalar,
)

AvroField = dict[str, Any]
"""``{"name", "type", "doc"?, "default"?}``, as it stands in an Avro record."""

_SCALARS: Final[Mapping[str, str]] = {
    "str": "string",
    "int": "long",
    "float": "double",
    "bool": "boolean",
}


def avro_fields(fields: Sequence[Field]) -> list[AvroField]:
    """Return the Avro fields of *fields*; a history is not sent and left out."""
    return [_field(f) for f in fields if not isinstance(f.type, HistoryType)]


def avro_type(kind: FieldType) -> Any:  # noqa: ANN401 - a str, dict or list
    """Return the Avro type of *kind*.

    A ``Literal`` is no enum: readers break on a new symbol. It is a string (or long)
    that carries its values as the property ``allowed``.
    """
    match kind:
        case Scalar():
            return _SCALARS[kind.name]
        case Choice():
            plain = "string" if isinstance(kind.values[0], str) else "long"
            return {"type": plain, "allowed": list(kind.values)}
        case ListOf():
            return {"type": "array", "items": avro_type(kind.item)}
        case MapOf():
            return {"type": "map", "values": avro_type(kind.value)}
        case Maybe():
            return ["null", avro_type(kind.inner)]
        case HistoryType():
            return avro_type(ListOf(MapOf(Scalar("str"))))


def _field(field: Field) -> AvroField:
    made: AvroField = {"name": field.name, "type": avro_type(field.type)}
    if field.description:
        made["doc"] = field.description
    if field.required:
        return made
    if isinstance(field.type, Maybe) and field.default is not None:
        # Avro wants the default to be of the first branch.
        made["type"] = made["type"][::-1]
    return made | {"default": field.default}
