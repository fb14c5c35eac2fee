"""Serde: the only place where bytes become requests, and results become bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agents.record import Record
from schemas.codec import ParsedSchema, decode, encode, frame, schema_ref
from schemas.envelopes import request_of, result_value, stage_result_value
from schemas.records import Request, Result, StageResult

FindSchema = Callable[[int | str], ParsedSchema]
"""By id or GUID; raises UnknownSchemaError for one that is not known (yet)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics of one pipeline."""

    requests: str
    stages: str
    results: str
    dlq: str

    @classmethod
    def of(cls, prefix: str, pipeline: str) -> "Topics":
        """Return the names ``<prefix>.<pipeline>.<role>``."""
        return cls(
            requests=f"{prefix}.{pipeline}.requests",
            stages=f"{prefix}.{pipeline}.stages",
            results=f"{prefix}.{pipeline}.results",
            dlq=f"{prefix}.{pipeline}.dlq",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Serde:
    """Requests in, stage results and results out, for one pipeline."""

    pipeline: str
    topics: Topics
    find: FindSchema
    stage_schema: ParsedSchema
    result_schema: ParsedSchema
    limit_bytes: int

    def request(self, record: Record) -> Request:
        """Return the request in *record*.

        Raises:
            UnknownSchemaError: its schema is not known; it may be in a moment.
            DecodeError: it is no request of ours.
        """
        value = record.value
        ref, start = schema_ref(value, record.headers)
        schema = self.find(ref)
        body = decode(
            value or b"", start=start, schema=schema, limit_bytes=self.limit_bytes
        )
        return request_of(body, pipeline=self.pipeline)

    def stage(self, record: StageResult) -> bytes:
        """Return the value of a record on the stages topic."""
        body = encode(self.stage_schema, stage_result_value(record))
        return frame(self.stage_schema.id, body)

    def result(self, record: Result) -> bytes:
        """Return the value of a record on the results topic."""
        body = encode(self.result_schema, result_value(record))
        return frame(self.result_schema.id, body)


ENVELOPE_BYTES: Final = 16 * 1024
"""Kept free below `max.message.bytes`, for keys, headers and the batch around."""
