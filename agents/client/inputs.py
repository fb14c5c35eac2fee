"""Inputs of a request as a person gives them: text or JSON, checked field by field."""

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

from agents.failures import InputsRefusedError
from schemas.codec import ParsedSchema
from streams.signatures.types import (
    BOOL,
    FLOAT,
    INT,
    STR,
    Choice,
    Field,
    FieldType,
    ListOf,
    MapOf,
    Maybe,
)
from streams.signatures.validate import Validator

_SCALARS: Final[Mapping[str, FieldType]] = {
    "boolean": BOOL,
    "double": FLOAT,
    "float": FLOAT,
    "int": INT,
    "long": INT,
    "string": STR,
}


class Inputs:
    """What a request schema says about inputs."""

    def __init__(self, schema: ParsedSchema) -> None:
        """Read *schema*, the one of a pipeline's requests."""
        self._avro = {field["name"]: field for field in _inputs_of(schema)}
        found = {name: _field(avro) for name, avro in self._avro.items()}
        self._fields = {name: field for name, field in found.items() if field}

    def check(
        self, texts: Mapping[str, str], values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the inputs that *texts* and *values* give; a text wins.

        Fields of types that no pipeline declares are left to the encoder.

        Raises:
            InputsRefusedError: with every problem, by field.
        """
        given = {**values, **{name: self._parsed(name, t) for name, t in texts.items()}}
        clean, problems = Validator(list(self._fields.values()))(given)
        there = ", ".join(self._avro)
        wrong = [f"{name}: {reason}" for name, reason in problems]
        wrong += [
            f"{name}: no such input; there are {there}"
            for name in given
            if name not in self._avro
        ]
        if wrong:
            raise InputsRefusedError(wrong)
        return {**given, **clean}

    def _parsed(self, name: str, text: str) -> Any:
        field = self._fields.get(name)
        if field is None or _is_text(field.type):
            return text
        try:
            return orjson.loads(text)
        except ValueError:
            return text  # of the wrong type, as the check will say


def _inputs_of(schema: ParsedSchema) -> list[dict[str, Any]]:
    fields = {field["name"]: field for field in json.loads(schema.text)["fields"]}
    inputs: list[dict[str, Any]] = fields["inputs"]["type"]["fields"]
    return inputs


def _field(avro: Mapping[str, Any]) -> Field | None:
    kind = _type(avro["type"])
    if kind is None:
        return None
    return Field(
        name=avro["name"],
        type=kind,
        required="default" not in avro,
        default=avro.get("default"),
    )


def _type(avro: Any) -> FieldType | None:
    """Return the type behind *avro*: the way back from what signatures are made into.

    None where it is another's: schemas may be registered by anybody.
    """
    match avro:
        case {"type": "string" | "long", "allowed": [*values]}:
            return Choice(tuple(values))
        case {"type": "array", "items": items}:
            return _within(items, ListOf)
        case {"type": "map", "values": values}:
            return _within(values, MapOf)
        case ["null", inner] | [inner, "null"]:
            return _within(inner, Maybe)
        case str() | {"type": str()}:
            return _SCALARS.get(avro if isinstance(avro, str) else avro["type"])
        case _:
            return None


def _within(inner: Any, kind: type[ListOf | MapOf | Maybe]) -> FieldType | None:
    found = _type(inner)
    return None if found is None else kind(found)


def _is_text(kind: FieldType) -> bool:
    match kind:
        case Choice():
            return isinstance(kind.values[0], str)
        case _:
            return kind == STR
