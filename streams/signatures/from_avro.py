"""Typed fields from Avro fields: the way back from what ``avro.py`` makes.

Schemas may be registered by anybody: a type that no signature has is None here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streams.signatures.alternatives import clash, shape_of, united
from streams.signatures.avro import LIMITS
from streams.signatures.avro_defaults import NO_DEFAULT, from_default
from streams.signatures.parse import parse_fields
from streams.signatures.patterns import pattern_problem
from streams.signatures.special_texts import language_problem
from streams.signatures.types import (
    BOOL,
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    IMAGE,
    INT,
    STR,
    Choice,
    CodeOf,
    DecimalOf,
    Field,
    FieldType,
    Limited,
    ListOf,
    MapOf,
    RecordOf,
    TupleListOf,
    TupleOf,
)

_PLAIN: Final[Mapping[str, FieldType]] = {
    "boolean": BOOL,
    "bytes": BYTES,
    "double": FLOAT,
    "float": FLOAT,
    "int": INT,
    "long": INT,
    "string": STR,
}
_LOGICAL: Final[Mapping[tuple[str, str], FieldType]] = {
    ("int", "date"): DATE,
    ("long", "timestamp-micros"): DATETIME,
}


@dataclass(slots=True)
class AvroReader:
    """Reads the fields of one schema; a record defined once may be named later."""

    named: dict[str, FieldType] = field(default_factory=dict)

    def field(self, avro: Mapping[str, Any]) -> Field | None:
        """Return the field that *avro* was made of; None for one of no ours."""
        kind = self.type(avro["type"])
        if kind is None:
            return None
        try:
            default = from_default(kind, avro.get("default"))
        except NO_DEFAULT:
            return None
        return Field(
            name=avro["name"],
            type=kind,
            description=avro.get("doc", ""),
            required="default" not in avro,
            default=default,
        )

    def type(self, avro: Any) -> FieldType | None:  # noqa: ANN401 - any Avro type
        """Return the type that *avro* was made of."""
        match avro:
            case str():
                return _PLAIN.get(avro) or self.named.get(avro)
            case list():
                return self._union(avro)
            case {"type": "record"}:
                return self._record(avro)
            case {"type": "array" | "map"}:
                inner = self._container(avro)
            case {"type": str()}:
                inner = _single(avro)
            case _:
                return None
        kind = inner and _limited(inner, avro)
        if kind is not None and "name" in avro:
            self._name(kind, avro)
        return kind

    def _name(self, kind: FieldType, avro: Mapping[str, Any]) -> None:
        self.named[f"{avro.get('namespace', '')}.{avro['name']}"] = kind

    def _union(self, branches: Sequence[Any]) -> FieldType | None:
        found = [self.type(branch) for branch in branches if branch != "null"]
        kinds = [kind for kind in found if kind is not None]
        if not kinds or len(kinds) < len(found) or clash(kinds):
            return None
        return united(kinds, optional="null" in branches)

    def _record(self, avro: Mapping[str, Any]) -> FieldType | None:
        read = [self.field(each) for each in avro["fields"]]
        fields = tuple(each for each in read if each is not None)
        if len(fields) < len(read):
            return None
        record = RecordOf(avro["name"], fields)
        self._name(record, avro)
        return record

    def _container(self, avro: Mapping[str, Any]) -> FieldType | None:
        match avro:
            case {"type": "array", "tuple": str(text)}:
                return _tuple(text)
            case {"type": "array", "items": items}:
                item = self.type(items)
                kind = TupleListOf if avro.get("python") == "tuple" else ListOf
                return item and kind(item)
            case {"type": "map", "values": values}:
                value = self.type(values)
                return value and MapOf(value)
            case _:
                return None


def _single(avro: Mapping[str, Any]) -> FieldType | None:
    match avro:
        case {"type": "string" | "long", "allowed": [*values]}:
            return Choice(tuple(values))
        case {"type": "string", "image": True}:
            return IMAGE
        case {"type": "string", "code": str(language)}:
            return CodeOf(language) if language_problem(language) is None else STR
        case {"logicalType": "decimal", "precision": int(digits)}:
            return DecimalOf(digits, avro.get("scale", 0))
        case {"type": str(name), "logicalType": str(logical)}:
            # What another's type stands for is left to whoever writes it.
            return _LOGICAL.get((name, logical)) or _PLAIN.get(name)
        case _:
            return _PLAIN.get(avro["type"])


def _tuple(text: str) -> FieldType | None:
    reading = parse_fields(f"a: {text}")
    kind = reading.inputs[0].type if len(reading.inputs) == 1 else None
    return kind if isinstance(kind, TupleOf) else None


def _limited(kind: FieldType, avro: Mapping[str, Any]) -> FieldType:
    if isinstance(kind, DecimalOf):
        return kind
    names = LIMITS.get(shape_of(kind), ("", ""))
    low, high = (_bound(avro.get(name)) for name in names)
    pattern = avro.get("pattern")
    if not isinstance(pattern, str) or pattern_problem(pattern) is not None:
        pattern = None
    if low is None and high is None and pattern is None:
        return kind
    return Limited(kind, low, high, pattern)


def _bound(said: object) -> float | None:
    if isinstance(said, bool):  # which is an int
        return None
    return said if isinstance(said, int | float) else None
