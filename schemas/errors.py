"""Errors of the contract: bytes and schema disagree.

SchemaError
├── DecodeError            these bytes are no record of ours       (a dead letter)
│   ├── EmptyPayloadError · OversizeError · MagicByteError
│   ├── TruncatedError · TrailingBytesError
│   └── MalformedError
│       └── EnvelopeError          .field
├── EncodeError            this value does not fit its schema
├── InvalidSchemaError     this is no Avro schema, or one that we will not read with
├── UnknownSchemaError     nobody knows this schema id (yet)
├── IncompatibleSchemaError
├── SchemaIdCollisionError
└── RegistryError
    ├── RegistryUnavailableError                                      retryable
    └── RegistryRefusedError
"""

from typing import ClassVar


class SchemaError(Exception):
    """Bytes and schema disagree."""

    code: ClassVar[str] = "schema"
    retryable: ClassVar[bool] = False


class DecodeError(SchemaError):
    """The payload is no record that we can read."""

    code = "decode"


class EmptyPayloadError(DecodeError):
    """The record has a null or an empty value."""

    code = "decode.empty"

    def __init__(self) -> None:
        super().__init__("the record has no value")


class OversizeError(DecodeError):
    """The payload is larger than what we are willing to decode."""

    code = "decode.oversize"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"{size_bytes} bytes, the limit is {limit_bytes}")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class MagicByteError(DecodeError):
    """The payload does not begin with Confluent's magic byte 0x00."""

    code = "decode.magic"

    def __init__(self, first_byte: int) -> None:
        super().__init__(f"first byte is 0x{first_byte:02x}, expected 0x00")
        self.first_byte = first_byte


class TruncatedError(DecodeError):
    """The payload ends before its schema does."""

    code = "decode.truncated"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the payload ends early, after {size_bytes} bytes")
        self.size_bytes = size_bytes


class TrailingBytesError(DecodeError):
    """Bytes are left over behind the record."""

    code = "decode.trailing"

    def __init__(self, left_bytes: int) -> None:
        super().__init__(f"{left_bytes} bytes follow the record")
        self.left_bytes = left_bytes


class MalformedError(DecodeError):
    """The bytes contradict their schema, or the record is no request."""

    code = "decode.malformed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class EnvelopeError(MalformedError):
    """A record that could be read, and is not what its topic is for."""

    def __init__(self, *, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class EncodeError(SchemaError):
    """A value does not fit the schema of its topic."""

    code = "encode"

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"{subject}: {reason}")
        self.subject = subject


class InvalidSchemaError(SchemaError):
    """A text is no Avro schema, or one that could harm its reader."""

    code = "schema.invalid"

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)


class UnknownSchemaError(SchemaError):
    """No registry that we know has this schema id."""

    code = "decode.unknown_schema"
    retryable = True

    def __init__(self, schema_id: int | str) -> None:
        super().__init__(f"schema id {schema_id} is not registered")
        self.schema_id = schema_id


class IncompatibleSchemaError(SchemaError):
    """A new version would break readers or writers of its subject."""

    code = "schema.incompatible"

    def __init__(self, subject: str, reasons: tuple[str, ...]) -> None:
        super().__init__(f"{subject}: {'; '.join(reasons)}")
        self.subject = subject
        self.reasons = reasons


class SchemaIdCollisionError(SchemaError):
    """Two different schemas hash to one id: neither may replace the other."""

    code = "schema.id_collision"

    def __init__(self, schema_id: int, known: str, offered: str) -> None:
        super().__init__(f"id {schema_id} is {known}, and would be {offered} too")
        self.schema_id = schema_id


class RegistryError(SchemaError):
    """A schema registry did not do what we asked."""

    code = "registry"

    def __init__(self, registry: str, reason: str) -> None:
        super().__init__(f"{registry}: {reason}")
        self.registry = registry
        """Address without credentials, or the topic of the embedded one."""


class RegistryUnavailableError(RegistryError):
    """The registry cannot be reached, or fails on its side; asking again may help."""

    code = "registry.unavailable"
    retryable = True


class RegistryRefusedError(RegistryError):
    """The registry will not answer this call however often we ask."""

    code = "registry.refused"
