"""Inputs of a request as a person gives them: text or JSON, checked field by field."""

import json
from collections.abc import Mapping
from types import NoneType
from typing import Any

import orjson

from agents.failures import InputsRefusedError
from schemas.codec import ParsedSchema
from streams.signatures.alternatives import shape_of
from streams.signatures.from_avro import AvroReader
from streams.signatures.types import Maybe
from streams.signatures.validate import Validator


class Inputs:
    """What a request schema says about inputs."""

    def __init__(self, schema: ParsedSchema) -> None:
        """Read *schema*, the one of a pipeline's requests."""
        self._avro = {field["name"]: field for field in _inputs_of(schema)}
        reader = AvroReader()
        found = {name: reader.field(avro) for name, avro in self._avro.items()}
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
        if field is None:
            return text
        is_text = shape_of(field.type) == "text"
        if is_text and not isinstance(field.type, Maybe):
            return text
        try:
            value = orjson.loads(text)
        except ValueError:
            return text  # of the wrong type, as the check will say
        # 1.50 for an exact number is text, and not the float that JSON takes it for.
        return text if is_text and not isinstance(value, str | NoneType) else value


def _inputs_of(schema: ParsedSchema) -> list[dict[str, Any]]:
    fields = {field["name"]: field for field in json.loads(schema.text)["fields"]}
    inputs: list[dict[str, Any]] = fields["inputs"]["type"]["fields"]
    return inputs
