"""Decoding records without penstock: fastavro, and the schemas topic as it is."""

import json
from io import BytesIO
from typing import Any, Final

import fastavro

HEAD_BYTES: Final = 5


class NotOursError(ValueError):
    """These bytes are no record of a known schema."""


class Schemas:
    """The schemas on the schemas topic, by id."""

    def __init__(self) -> None:
        self._by_id: dict[int, Any] = {}

    def learn(self, value: bytes | None) -> None:
        """Take note of a record of the schemas topic."""
        if value is not None:
            stored = json.loads(value)
            text = json.loads(stored["schema"])
            self._by_id[stored["id"]] = fastavro.parse_schema(text, {})

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """Return what *value* says.

        Raises:
            NotOursError: it is not the whole of a record whose schema is known.
        """
        if not value or len(value) < HEAD_BYTES or value[0] != 0:
            raise NotOursError(value)
        schema = self._by_id.get(int.from_bytes(value[1:HEAD_BYTES], "big"))
        if schema is None:
            raise NotOursError(value)
        body = BytesIO(value[HEAD_BYTES:])
        try:
            read = fastavro.schemaless_reader(body, schema, None)
        except (EOFError, ValueError, IndexError, TypeError, KeyError) as error:
            raise NotOursError(value) from error
        if body.read(1):
            raise NotOursError(value)
        return read
