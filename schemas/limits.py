"""Schemas that we are willing to read with: a writer's schema is input as well.

Whoever may register a schema chooses what our decoder does. Five things are refused;
the first four were seen to stop a worker (fastavro 1.13):

- *Recursion*: one byte a level, no limit; a megabyte ends the process (SIGSEGV).
- *Values of no bytes* outside of unions: an array of two billion nulls is six bytes,
  and records of such records double with every line of schema. Without them, work
  and memory are bounded by the size of the payload times the height of the schema.
- *Long decimals*: reading one takes the square of its bytes (400 kB: 21 s).
- *fastavro's own mark*: a schema that carries it is trusted and never parsed.
- *Height* above ``MAX_HEIGHT``, because it is a factor of that product.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import fastavro

from schemas.errors import InvalidSchemaError
from schemas.identity import AvroSchema

MAX_HEIGHT: Final = 32
"""Types within types. Ours stop at five; Connect's deepest examples at a dozen."""

MAX_DECIMAL_BYTES: Final = 64
"""154 digits: more than any money, and still microseconds."""

MAX_NESTING: Final = 200
"""Levels of a schema's JSON; a record takes four. Keeps walks off the stack's end."""

PARSED_MARK: Final = "__fastavro_parsed"

PRIMITIVES: Final = frozenset(
    ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
)

NAMED: Final = frozenset(("record", "error", "enum", "fixed"))


def parse(value: AvroSchema) -> AvroSchema:
    """Return *value*, a schema as parsed JSON, in fastavro's form; checked.

    Raises:
        InvalidSchemaError: no Avro schema, or one that could harm its reader.
    """
    _check_json(value, MAX_NESTING)
    try:
        parsed: AvroSchema = fastavro.parse_schema(value)
    except Exception as error:  # whatever a stranger's JSON makes fastavro raise
        raise InvalidSchemaError(reason=f"{type(error).__name__}: {error}") from error
    if _Walk().height(parsed) > MAX_HEIGHT:
        raise InvalidSchemaError(reason=f"more than {MAX_HEIGHT} nested types")
    return parsed


def _check_json(value: object, levels: int) -> None:
    if isinstance(value, dict) and PARSED_MARK in value:
        raise InvalidSchemaError(reason=f"{PARSED_MARK} is not for schemas that travel")
    if not isinstance(value, dict | list):
        return
    if not levels:
        raise InvalidSchemaError(reason=f"nested more than {MAX_NESTING} levels deep")
    for item in value.values() if isinstance(value, dict) else value:
        _check_json(item, levels - 1)


@dataclass(slots=True)
class _Walk:
    """One walk over a parsed schema, in which every name is a full name."""

    heights: dict[str, int] = field(default_factory=dict)
    """Of the named types that are complete."""
    weightless: set[str] = field(default_factory=lambda: {"null"})
    """Types whose values take no bytes."""

    def height(self, schema: AvroSchema) -> int:
        """Return how many types stand within each other, *schema* included."""
        match schema:
            case str():
                return self._reference(schema)
            case list():
                return 1 + max(map(self.height, schema), default=0)
            case {"type": "array", "items": inner} | {"type": "map", "values": inner}:
                return 1 + self._weighty(inner)
            case {"type": "record" | "error"}:
                return self._record(schema["name"], schema["fields"])
            case _:
                return self._leaf(schema)

    def _reference(self, name: str) -> int:
        if name in PRIMITIVES:
            return 1
        if name not in self.heights:
            raise InvalidSchemaError(reason=f"{name} contains itself")
        return self.heights[name]

    def _record(self, name: str, fields: list[dict[str, Any]]) -> int:
        inner = max((self._weighty(f["type"]) for f in fields), default=0)
        # Entered only now: a reference from within finds nothing, and is recursion.
        self.heights[name] = 1 + inner
        if not fields:
            self.weightless.add(name)
        return 1 + inner

    def _leaf(self, schema: dict[str, Any]) -> int:
        if schema["type"] in NAMED:
            self.heights[schema["name"]] = 1
        size = schema["size"] if schema["type"] == "fixed" else 1
        if type(size) is not int or size < 1:
            raise InvalidSchemaError(reason=f"size {size!r} is not a positive number")
        if schema.get("logicalType") == "decimal" and (
            schema["type"] == "bytes" or size > MAX_DECIMAL_BYTES
        ):
            raise InvalidSchemaError(
                reason=f"a decimal of more than {MAX_DECIMAL_BYTES} bytes; "
                "use a smaller fixed, a string or a double"
            )
        return 1

    def _weighty(self, schema: AvroSchema) -> int:
        """Return the height of a type that stands where no union is."""
        height = self.height(schema)
        name = _name(schema)
        if name in self.weightless:
            raise InvalidSchemaError(
                reason=f"{name} takes no bytes: it may stand in a union only"
            )
        return height


def _name(schema: AvroSchema) -> str:
    """Return how a walk knows *schema*; all unions have one name."""
    if isinstance(schema, dict):
        kind = schema["type"]
        return str(schema["name"] if kind in NAMED else kind)
    return schema if isinstance(schema, str) else "union"
