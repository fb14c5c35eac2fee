"""A registration, one schema under one subject, and its record on the schemas topic.

The key is ``<SHA-256 hex>:<subject>``: keys of different registrations differ, so
compaction loses none, although many subjects may hold one schema.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from schemas.errors import EnvelopeError, InvalidSchemaError
from schemas.identity import Digest, Identity

KEY: Final = re.compile(rb"([0-9a-f]{64}):(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """One schema under one subject."""

    subject: str
    version: int
    """From 1; gaps are possible."""
    schema: Identity

    @property
    def id(self) -> int:
        """The id that records carry."""
        return self.schema.id

    @property
    def text(self) -> str:
        """Normalised JSON."""
        return self.schema.text

    def pack(self) -> tuple[bytes, bytes]:
        """Return key and value of the record that makes this known to all."""
        value = {
            "subject": self.subject,
            "version": self.version,
            "id": self.schema.id,
            "guid": self.schema.guid,
            "schema": self.schema.text,
        }
        return f"{self.schema.hash}:{self.subject}".encode(), orjson.dumps(value)


def unpack_key(key: bytes) -> tuple[str, str]:
    """Return hash and subject of a record's *key*.

    Raises:
        EnvelopeError: the key is none of ours.
    """
    found = KEY.fullmatch(key)
    try:
        if found:
            return found[1].decode(), found[2].decode()
    except UnicodeDecodeError:
        pass
    raise EnvelopeError(field="key", reason="not <SHA-256 hex>:<subject>")


def unpack(key: bytes, value: bytes, digest: Digest) -> Registered:
    """Read a registration back. What follows from the text is computed, not believed.

    Raises:
        EnvelopeError: the record is none of ours, or contradicts itself.
    """
    hashed, subject = unpack_key(key)
    try:
        stored: dict[str, Any] = orjson.loads(value)
        text, version = stored["schema"], stored["version"]
        schema = Identity.of(text, digest)
    except (ValueError, TypeError, KeyError, InvalidSchemaError) as error:
        raise EnvelopeError(field="value", reason=str(error)) from error
    if schema.hash != hashed or schema.text != text:
        raise EnvelopeError(field="schema", reason=f"its hash is not {hashed}")
    if type(version) is not int or version < 1:
        raise EnvelopeError(field="version", reason=f"{version!r} is no version")
    return Registered(subject=subject, version=version, schema=schema)
