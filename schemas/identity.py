"""What a schema is called: its normalised text, and the ids that follow from it.

Everybody who has the text computes the same ids, so no coordinator hands them out.
Docs, defaults, aliases and logical types count: a reader can see all of them.
"""

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from schemas.errors import InvalidSchemaError

AvroSchema = str | dict[str, Any] | list[Any]
"""A schema as JSON text, or as what that text parses to."""

Digest = Callable[[bytes], bytes]
"""A hash of at least 16 bytes; tests bring one that collides."""

ID_BITS: Final = 31
"""The wire has 32, but Java's clients read them as a signed int."""


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of *data*, 32 bytes."""
    return hashlib.sha256(data).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A normalised schema and what it is called."""

    text: str
    hash: str
    """SHA-256 of *text*, in hex."""
    id: int
    """First 31 bits of it, never 0: what a record carries on the wire."""
    guid: str
    """First 16 bytes of it, in the form of a UUID: Confluent's newer name."""

    @classmethod
    def of(cls, schema: AvroSchema, digest: Digest = sha256) -> "Identity":
        """Name *schema*.

        Raises:
            InvalidSchemaError: not JSON.
        """
        text = normalise(schema)
        hashed = digest(text.encode())
        return cls(
            text=text,
            hash=hashed.hex(),
            id=int.from_bytes(hashed[:4], "big") >> (32 - ID_BITS) or 1,
            guid=str(uuid.UUID(bytes=hashed[:16])),
        )


def schema_id(text: str) -> int:
    """Return the id of a normalised *text*."""
    return Identity.of(text).id


def normalise(schema: AvroSchema) -> str:
    """Return *schema* as JSON with sorted keys and without whitespace.

    Raises:
        InvalidSchemaError: not JSON, or JSON that UTF-8 cannot carry.
    """
    try:
        text = json.dumps(
            parse_json(schema) if isinstance(schema, str) else schema,
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
        )
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidSchemaError(reason=f"not JSON: {error}") from error
    return text


def parse_json(text: str) -> AvroSchema:
    """Return what *text* says.

    Raises:
        InvalidSchemaError: not JSON, or nested a thousand levels deep.
    """
    try:
        return cast("AvroSchema", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidSchemaError(reason=f"not JSON: {error}") from error
