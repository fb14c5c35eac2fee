"""Which type reads what another writes, and what a signature calls it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.identity import AvroSchema
from schemas.promises import meaning_of

WIDER: Final[Mapping[str, tuple[str, ...]]] = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
}
"""What Avro reads as something wider. It reads bytes as text as well, which fails for
bytes that are none; here that is a break."""

WORDS: Final[Mapping[str, str]] = {
    "array": "list",
    "boolean": "bool",
    "double": "float",
    "long": "int",
    "map": "dict",
    "string": "str",
    "timestamp-micros": "datetime",
}
"""How signatures call Avro's types."""

TIMES: Final = ("date", "time", "timestamp", "local-timestamp", "duration")
"""Logical types that give a number another meaning begin with one of these."""


def branches_of(
    schema: AvroSchema, named: Mapping[str, AvroSchema]
) -> Sequence[AvroSchema]:
    """Return the types that a value may be of; names stand for what they name."""
    several = schema if isinstance(schema, list) else [schema]
    return [named.get(one, one) if isinstance(one, str) else one for one in several]


def reader_of(writer: AvroSchema, readers: Sequence[AvroSchema]) -> AvroSchema | None:
    """Return which of *readers* reads what *writer* writes."""
    kind = kind_of(writer)
    for wanted in (kind, *WIDER.get(kind, ())):
        for reader in readers:
            if kind_of(reader) == wanted:
                return reader
    return None


def kind_of(schema: Any) -> str:  # noqa: ANN401 - Avro's
    """Return what makes two types one to a reader; named ones by their last name."""
    match schema:
        case {"type": "fixed", "name": name, "size": size}:
            exact = (schema.get("precision"), schema.get("scale"))
            return f"fixed {_last(name)} {size} {exact}"
        case {"type": "record" | "error" | "enum" as kind, "name": name}:
            return f"{kind} {_last(name)}"
        case {"type": str(), "logicalType": str(logical)} if logical.startswith(TIMES):
            return logical
        case {"type": str(kind)}:
            return kind
        case _:
            return str(schema)


def word_of(schema: Any) -> str:  # noqa: ANN401 - Avro's
    """Return how a signature calls a type."""
    match schema:
        case {"logicalType": "decimal", "precision": digits}:
            return f"Decimal[{digits}, {schema.get('scale', 0)}]"
        case {"name": name}:
            return _last(name)
        case {"tuple": str(written)}:
            return written
        case {"type": "string"} if meaning_of(schema):
            return str(meaning_of(schema))
        case _:
            return WORDS.get(kind_of(schema), kind_of(schema))


def words_of(branches: Sequence[AvroSchema]) -> str:
    """Return how a signature calls a value of one of several types."""
    return " | ".join(map(word_of, branches))


def _last(name: str) -> str:
    return name.rpartition(".")[2]
