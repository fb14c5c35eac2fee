"""Defaults of Avro schemas as JSON holds them: a schema writes dates as numbers."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final

from schemas.identity import AvroSchema

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

MOST_DIGITS: Final = 200
"""Of an exact number: more than the longest that ``limits.py`` reads."""

_HELD: Final[Mapping[type, tuple[str, ...]]] = {
    bool: ("boolean",),
    str: ("string", "bytes", "fixed", "enum"),
    int: ("int", "long", "float", "double"),
    float: ("float", "double"),
    list: ("array",),
    dict: ("map", "record", "error"),
    type(None): ("null",),
}
"""Which types a default of a schema can be of, by what JSON it is."""


def json_default(avro: Any, value: Any, named: Mapping[str, AvroSchema]) -> Any:  # noqa: ANN401 - any default
    """Return the default *value* of type *avro*; *named* are the schema's own types."""
    kind = _single(avro, value, named)
    match kind:
        case {"type": "array", "items": items}:
            return [json_default(items, each, named) for each in value]
        case {"type": "map", "values": values}:
            return {k: json_default(values, v, named) for k, v in value.items()}
        case {"type": "record", "fields": fields}:
            types = {f["name"]: f["type"] for f in fields}
            return {k: json_default(types[k], v, named) for k, v in value.items()}
        case _:
            return _scalar(kind, value)


def _single(avro: Any, value: object, named: Mapping[str, AvroSchema]) -> Any:  # noqa: ANN401 - Avro's
    """Return *avro* itself, or that branch of it which *value* is of."""
    branches = avro if isinstance(avro, list) else [avro]
    found = [named.get(one, one) if isinstance(one, str) else one for one in branches]
    held = _HELD[type(value)]
    fitting = (one for one in found if _type_of(one) in held)
    return next(fitting, found[0])


def _type_of(avro: Any) -> str:  # noqa: ANN401 - Avro's
    return str(avro["type"] if isinstance(avro, Mapping) else avro)


def _scalar(avro: Any, value: Any) -> Any:  # noqa: ANN401 - any default
    match avro:
        case {"logicalType": "decimal"}:
            unscaled = int.from_bytes(value.encode("latin-1"), "big", signed=True)
            places = Context(prec=MOST_DIGITS)
            return f"{Decimal(unscaled).scaleb(-avro.get('scale', 0), places):f}"
        case {"type": "int", "logicalType": "date"}:
            return (EPOCH.date() + timedelta(days=value)).isoformat()
        case {"type": "long", "logicalType": "timestamp-micros"}:
            return (EPOCH + timedelta(microseconds=value)).isoformat()
        case "bytes" | {"type": "bytes" | "fixed"}:
            return b64encode(value.encode("latin-1")).decode()
        case _:
            return value
