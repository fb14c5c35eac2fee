"""Bytes to records and back: Confluent's wire format around Avro.

A value is ``0x00``, the schema id as four bytes, and the Avro body; or it is the Avro
body alone, and the header ``__value_schema_id`` holds the id or the schema's GUID.
Both are read, the first is written. Reading uses the writer's schema only: what the
fields must look like is the pipeline's business, which names every problem.
"""

import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, cast

import fastavro

from schemas.errors import (
    DecodeError,
    EmptyPayloadError,
    EncodeError,
    MagicByteError,
    MalformedError,
    OversizeError,
    TrailingBytesError,
    TruncatedError,
)
from schemas.identity import AvroSchema, Identity, parse_json
from schemas.limits import parse
from schemas.writer import MisfitError, Write, compile_writer

MAGIC: Final = 0
"""First byte of the form with an id: prefix, or header."""
GUID_MAGIC: Final = 1
"""First byte of the header form with a GUID."""

PREFIX: Final = struct.Struct(">BI")
GUID_SIZE: Final = 17
VALUE_HEADER: Final = "__value_schema_id"

CONTINUES: Final = b"\x80"
"""From here on, a byte of an Avro number is not its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSchema:
    """A schema, ready to read and write with."""

    id: int
    text: str
    """Normalised JSON."""
    parsed: Any
    """As fastavro wants it."""
    write: Write | None
    """What writes it; None where fastavro does."""
    subject: str = ""
    """What errors call it."""

    @classmethod
    def of(
        cls, schema: AvroSchema, *, subject: str = "", ref: int | None = None
    ) -> "ParsedSchema":
        """Parse *schema*; *ref* is its id where another registry gave it one.

        Raises:
            InvalidSchemaError: no Avro schema, or one that could harm its reader.
        """
        named = Identity.of(schema)
        parsed = parse(parse_json(named.text))
        return cls(
            id=named.id if ref is None else ref,
            text=named.text,
            parsed=parsed,
            write=compile_writer(parsed),
            subject=subject,
        )


def frame(ref: int, body: bytes) -> bytes:
    """Return *body* behind the magic byte and its schema id."""
    return PREFIX.pack(MAGIC, ref) + body


def schema_ref(
    payload: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
) -> tuple[int | str, int]:
    """Return the id or GUID of a value's schema, and where its body starts.

    Raises:
        EmptyPayloadError: there is no value.
        MagicByteError: neither a header nor a first byte of the format.
        TruncatedError: the id is cut off.
    """
    if not payload:
        raise EmptyPayloadError
    for name, value in headers:
        if name == VALUE_HEADER:
            return _header_ref(value), 0
    if payload[0] != MAGIC:
        raise MagicByteError(payload[0])
    if len(payload) < PREFIX.size:
        raise TruncatedError(len(payload))
    return PREFIX.unpack_from(payload)[1], PREFIX.size


def _header_ref(value: bytes | None) -> int | str:
    if not value:
        reason = f"header {VALUE_HEADER} is empty"
        raise MalformedError(reason)
    if value[0] == MAGIC and len(value) == PREFIX.size:
        return cast("int", PREFIX.unpack(value)[1])
    if value[0] == GUID_MAGIC and len(value) == GUID_SIZE:
        return str(uuid.UUID(bytes=value[1:]))
    reason = f"header {VALUE_HEADER} holds neither an id nor a GUID"
    raise MalformedError(reason)


def decode(
    payload: bytes, *, start: int, schema: ParsedSchema, limit_bytes: int
) -> dict[str, Any]:
    """Return the record in *payload* from byte *start* on, all of it.

    Raises:
        OversizeError: more than *limit_bytes*; nothing was decoded.
        TruncatedError: the payload ends before its schema does.
        TrailingBytesError: something follows the record.
        MalformedError: the bytes contradict *schema*, or it is no record's.
        MemoryError: there is no room for it here and now.
    """
    if len(payload) > limit_bytes:
        raise OversizeError(len(payload), limit_bytes)
    body = BytesIO(payload)
    body.seek(start)
    try:
        value = fastavro.schemaless_reader(body, schema.parsed, None)
    except MemoryError:
        raise  # ours, and not the sender's: a dead letter would be for ever
    except Exception as error:  # fastavro has no exception of its own for bad bytes
        raise _decode_error(error, payload, body.tell()) from error
    left_bytes = len(payload) - body.tell()
    if left_bytes:
        raise TrailingBytesError(left_bytes)
    if type(value) is not dict:
        reason = f"a {type(value).__name__}, not a record"
        raise MalformedError(reason)
    return value


def _decode_error(error: Exception, payload: bytes, at: int) -> DecodeError:
    # fastavro reads past the end with an EOFError, and with an IndexError in the
    # middle of a number; a branch or symbol that does not exist is an IndexError too.
    cut_number = at >= len(payload) and payload[-1:] >= CONTINUES
    if isinstance(error, EOFError) or (isinstance(error, IndexError) and cut_number):
        return TruncatedError(len(payload))
    return MalformedError(f"byte {at}: {type(error).__name__}: {error}")


def encode(schema: ParsedSchema, value: Mapping[str, Any]) -> bytes:
    """Return the Avro body of *value*, without a frame.

    Raises:
        EncodeError: *value* does not fit *schema*.
    """
    try:
        if schema.write is None:
            return _encode_with_fastavro(schema, value)
        body = bytearray()
        schema.write(body, value)
    except MisfitError as error:
        raise EncodeError(schema.subject, str(error)) from error
    except MemoryError:
        raise
    except Exception as error:  # TypeError, ValueError, KeyError, OverflowError, ...
        reason = f"{type(error).__name__}: {error}"
        raise EncodeError(schema.subject, reason) from error
    return bytes(body)


def _encode_with_fastavro(schema: ParsedSchema, value: Mapping[str, Any]) -> bytes:
    body = BytesIO()
    # A tuple is a value of ours, and not fastavro's way to name a union's branch.
    fastavro.schemaless_writer(body, schema.parsed, value, disable_tuple_notation=True)
    return body.getvalue()
