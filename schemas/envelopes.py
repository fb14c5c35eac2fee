"""Envelopes: between records as Avro has them (dicts) and the values of the house."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from msgspec.structs import fields

from schemas.errors import EnvelopeError
from schemas.records import (
    ErrorInfo,
    Request,
    Result,
    Source,
    StageResult,
    Timings,
    Usage,
)
from schemas.shapes import (
    AvroField,
    namespace_of,
    request_schema,
    result_schema,
    stage_result_schema,
)

__all__ = [
    "AvroField",
    "namespace_of",
    "request_of",
    "request_schema",
    "request_value",
    "result_of",
    "result_schema",
    "result_value",
    "stage_result_of",
    "stage_result_schema",
    "stage_result_value",
]

Value = Mapping[str, Any]
"""A record as Avro has it."""

Made = TypeVar("Made", ErrorInfo, Result, Source, StageResult, Timings, Usage)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)


def request_of(value: Value, *, pipeline: str = "") -> Request:
    """Return the request that *value* is; *pipeline* is the one of its topic.

    What is missing or null takes its default. Inputs are not looked into.

    Raises:
        EnvelopeError: no request, because of the field that it names.
    """
    request_id = _text(value, "request_id")
    if not request_id:
        raise EnvelopeError(field="request_id", reason="missing or empty")
    inputs = value.get("inputs")
    if not isinstance(inputs, Mapping):
        raise EnvelopeError(field="inputs", reason="missing, or no record")
    return Request(
        request_id=request_id,
        pipeline=_text(value, "pipeline") or pipeline,
        inputs=inputs,
        # An empty session id is none, else all who send one share a session.
        session_id=_text(value, "session_id") or None,
        pipeline_version=_whole(value, "pipeline_version"),
        deadline_ms=_moment_ms(value, "deadline_ms"),
        priority=_whole(value, "priority") or 0,
        tenant=_text(value, "tenant"),
        mode=_text(value, "mode") or "NORMAL",
        options=_options(value),
    )


def request_value(record: Request) -> dict[str, Any]:
    """Return *record* as Avro has it."""
    return {
        "request_id": record.request_id,
        "inputs": record.inputs,
        "session_id": record.session_id,
        "pipeline": record.pipeline,
        "pipeline_version": record.pipeline_version,
        "deadline_ms": record.deadline_ms,
        "priority": record.priority,
        "tenant": record.tenant,
        "mode": record.mode,
        "options": record.options,
    }


def stage_result_value(record: StageResult) -> dict[str, Any]:
    """Return *record* as Avro has it: its outputs under the name of its stage."""
    return {
        "request_id": record.request_id,
        "session_id": record.session_id,
        "pipeline": record.pipeline,
        "pipeline_version": record.pipeline_version,
        "stage": record.stage,
        "status": record.status,
        "sequence": record.sequence,
        "replay": record.replay,
        "outputs": None if record.outputs is None else {record.stage: record.outputs},
        "error": _error_value(record.error),
        "usage": _usage_value(record.usage),
        "started_ms": record.started_ms,
        "duration_ms": record.duration_ms,
        "attempts": record.attempts,
        "version": record.version,
        "source": _source_value(record.source),
        "path": record.path,
        "event": record.event,
        "percent": record.percent,
    }


def result_value(record: Result) -> dict[str, Any]:
    """Return *record* as Avro has it."""
    timings = record.timings
    return {
        "request_id": record.request_id,
        "session_id": record.session_id,
        "pipeline": record.pipeline,
        "pipeline_version": record.pipeline_version,
        "status": record.status,
        "turn": record.turn,
        "replay": record.replay,
        "outputs": record.outputs,
        "error": _error_value(record.error),
        "usage": _usage_value(record.usage),
        "timings": {
            "queued_ms": timings.queued_ms,
            "running_ms": timings.running_ms,
            "stages": timings.stages,
        },
        "versions": record.versions,
        "source": _source_value(record.source),
        "sequence": record.sequence,
    }


def stage_result_of(value: Value) -> StageResult:
    """Return the stage result that *value* is.

    Raises:
        EnvelopeError: it is none, because of the field that it names.
    """
    outputs = value.get("outputs")
    if outputs is not None:
        outputs = outputs.get(value.get("stage"))
    return _made(StageResult, {**value, **_parts(value), "outputs": outputs})


def result_of(value: Value) -> Result:
    """Return the result that *value* is.

    Raises:
        EnvelopeError: it is none, because of the field that it names.
    """
    timings = _made(Timings, value.get("timings") or {})
    return _made(Result, {**value, **_parts(value), "timings": timings})


def _text(value: Value, name: str) -> str | None:
    found = value.get(name)
    if found is None or type(found) is str:
        return found
    if isinstance(found, UUID):  # a producer's own schema may say so
        return str(found)
    raise EnvelopeError(field=name, reason=f"{type(found).__name__}, not a string")


def _whole(value: Value, name: str) -> int | None:
    found = value.get(name)
    if found is None or type(found) is int:
        return found
    raise EnvelopeError(field=name, reason=f"{type(found).__name__}, not an integer")


def _moment_ms(value: Value, name: str) -> int | None:
    found = value.get(name)
    if not isinstance(found, datetime):
        return _whole(value, name)
    if found.tzinfo is None:  # local-timestamp-*: the best guess that there is
        found = found.replace(tzinfo=UTC)
    return (found - EPOCH) // MILLISECOND


def _options(value: Value) -> Mapping[str, str]:
    found = value.get("options") or {}
    if not isinstance(found, Mapping):
        raise EnvelopeError(field="options", reason="no map")
    for name, text in found.items():
        if type(text) is not str:
            raise EnvelopeError(field=f"options.{name}", reason="not a string")
    return found


def _error_value(error: ErrorInfo | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "code": error.code,
        "message": error.message,
        "stage": error.stage,
        "field": error.field,
        "retryable": error.retryable,
        "hint": error.hint,
        "cause": error.cause,
    }


def _usage_value(usage: Usage) -> dict[str, Any]:
    return {
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": usage.cost_usd,
        "cached_calls": usage.cached_calls,
    }


def _source_value(source: Source | None) -> dict[str, Any] | None:
    if source is None:
        return None
    return {
        "topic": source.topic,
        "partition": source.partition,
        "offset": source.offset,
    }


def _parts(value: Value) -> dict[str, Any]:
    """Return the records within that stage results and results share."""
    error, source = value.get("error"), value.get("source")
    return {
        "error": None if error is None else _made(ErrorInfo, error),
        "usage": _made(Usage, value.get("usage") or {}),
        "source": None if source is None else _made(Source, source),
    }


def _made(kind: type[Made], value: Value) -> Made:
    """Return a *kind* of the fields in *value*; what is null takes its default."""
    given: dict[str, Any] = {}
    for spec in fields(kind):
        found = value.get(spec.name)
        if found is not None:
            given[spec.name] = found
        elif spec.required:
            raise EnvelopeError(field=spec.name, reason="missing")
    return kind(**given)
