"""Avro fields for typed fields: what producers and consumers of a pipeline see.

What Avro cannot say stands beside it in properties, in JSON Schema's words where it has
some: ``allowed``, ``minimum``, ``maxLength``, ``pattern`` … Readers ignore them;
``from_avro.py`` reads them back.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.named_types import RECORDS
from streams.signatures.alternatives import shape_of, types_of
from streams.signatures.avro_defaults import decimal_bytes, to_default
from streams.signatures.tuples import plain_items
from streams.signatures.types import (
    Choice,
    CodeOf,
    DecimalOf,
    Field,
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
    TupleListOf,
    TupleOf,
)

AvroField = dict[str, Any]
"""``{"name", "type", "doc"?, "default"?}``, as it stands in an Avro record."""

SCALARS: Final[Mapping[str, Any]] = {
    "str": "string",
    "int": "long",
    "float": "double",
    "bool": "boolean",
    "bytes": "bytes",
    "date": {"type": "int", "logicalType": "date"},
    # Microseconds are what Python has: milliseconds would cut three digits off.
    "datetime": {"type": "long", "logicalType": "timestamp-micros"},
}
LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "number": ("minimum", "maximum"),
    "text": ("minLength", "maxLength"),
    "list": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
"""What the bounds are called, by what a value is in JSON."""


def avro_fields(fields: Sequence[Field]) -> list[AvroField]:
    """Return the Avro fields of *fields*; a history is not sent and left out."""
    return [_field(f) for f in fields if not isinstance(f.type, HistoryType)]


def avro_type(kind: FieldType) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912
    """Return the Avro type of *kind*: one case a type.

    A ``Literal`` is no enum: readers break on a new symbol. It is a string (or long)
    that carries its values as the property ``allowed``.
    """
    match kind:
        case Scalar():
            return SCALARS[kind.name]
        case DecimalOf():
            return _exact(kind)
        case Choice():
            plain = "string" if isinstance(kind.values[0], str) else "long"
            return {"type": plain, "allowed": list(kind.values)}
        case ImageType():
            return {"type": "string", "image": True}
        case CodeOf():
            return {"type": "string", "code": kind.language}
        case Limited(inner=DecimalOf() as exact):
            # Fixed types are compared by name and defined once in a schema: bounds of
            # one field would be those of all, or a part of the name, and then no
            # bound could ever change. Only we know these, and enforce them.
            return _exact(exact)
        case Limited():
            return _properties(avro_type(kind.inner)) | _limits(kind)
        case TupleListOf():
            # For us alone, and so not a ``tuple``, whose positions others know.
            return {"type": "array", "items": avro_type(kind.item), "python": "tuple"}
        case ListOf():
            return {"type": "array", "items": avro_type(kind.item)}
        case TupleOf():
            return _tuple(kind)
        case MapOf():
            return {"type": "map", "values": avro_type(kind.value)}
        case RecordOf():
            return _record(kind)
        case OneOf():
            return [avro_type(member) for member in kind.members]
        case Maybe(inner=OneOf() as several):
            return ["null", *avro_type(several)]
        case Maybe():
            return ["null", avro_type(kind.inner)]
        case HistoryType():
            return avro_type(ListOf(MapOf(Scalar("str"))))


def _exact(kind: DecimalOf) -> dict[str, Any]:
    # Fixed and not bytes: reading a decimal takes the square of its bytes, so a schema
    # that does not bound them is refused. Fixed types need names.
    return {
        "type": "fixed",
        "name": f"Decimal_{kind.digits}_{kind.places}",
        "namespace": RECORDS,
        "size": decimal_bytes(kind.digits),
        "logicalType": "decimal",
        "precision": kind.digits,
        "scale": kind.places,
    }


def _properties(made: Any) -> dict[str, Any]:  # noqa: ANN401 - a str or dict
    return {"type": made} if isinstance(made, str) else made


def _limits(kind: Limited) -> dict[str, Any]:
    said = zip(LIMITS[shape_of(kind)], (kind.low, kind.high), strict=True)
    made: dict[str, Any] = {n: bound for n, bound in said if bound is not None}
    return made if kind.pattern is None else made | {"pattern": kind.pattern}


def _tuple(kind: TupleOf) -> dict[str, Any]:
    items = [avro_type(item) for item in plain_items(kind.items)]
    return {
        "type": "array",
        "items": items[0] if len(items) == 1 else items,
        "tuple": str(kind),
    }


def _record(kind: RecordOf) -> dict[str, Any]:
    fields = avro_fields(kind.fields)
    return {
        "type": "record",
        "name": kind.name,
        "namespace": RECORDS,
        "fields": fields,
    }


def _field(field: Field) -> AvroField:
    made: AvroField = {"name": field.name, "type": avro_type(field.type)}
    if field.description:
        made["doc"] = field.description
    if field.required:
        return made
    if isinstance(made["type"], list) and field.default is not None:
        # Avro wants the default to be of the first branch.
        made["type"] = _default_first(field, made["type"])
    return made | {"default": to_default(field.type, field.default)}


def _default_first(field: Field, branches: list[Any]) -> list[Any]:
    """Return *branches* with that of the default in front, null behind the others."""
    kind = field.type.inner if isinstance(field.type, Maybe) else field.type
    rest = [branch for branch in branches if branch != "null"]
    if isinstance(kind, OneOf):
        given = type(field.default)
        at = next(i for i, m in enumerate(kind.members) if given in types_of(m))
        rest.insert(0, rest.pop(at))
    return rest + [branch for branch in branches if branch == "null"]
