"""The journal: what an unfinished run has paid for, so that no one pays it twice.

An entry is a value with a stored form. The edge writes entries to the journal table
in the same transactions as everything else; it hands the entries of a resumed run
back as a :class:`Journal`. Nothing here knows Kafka or RocksDB.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from msgspec import Struct, field

from schemas.records import Usage
from streams.errors import StateError, StateNewerError
from streams.json_form import json_form

FORMAT: Final = b"\x01"
"""First byte of a stored entry. A worker refuses formats newer than its own."""

WHAT: Final = "journal entry"


class RunHeader(Struct, frozen=True, kw_only=True):
    """What a run began with; a resumed run keeps it."""

    pipeline_version: int
    fingerprint: str
    """Of the pipeline with the programs of all its stages."""
    started_ms: int
    attempt: int
    """Counts the workers that took the run up, from 1."""


class CallEntry(Struct, frozen=True, kw_only=True):
    """One finished LM call of a stage that is not finished."""

    stage: str
    ordinal: int
    """Counts the calls of the stage in this run, from 0."""
    digest: str
    """Of messages, LM and parameters: another call is another digest."""
    text: str
    usage: Usage


class StageEntry(Struct, frozen=True, kw_only=True):
    """One finished stage of an unfinished run."""

    stage: str
    sequence: int
    version: str
    """``program@fingerprint`` that made it."""
    fingerprint: str
    """The pipeline's, as in the header. Entries that a changed pipeline left behind
    stay in the table beside those of the new one: their inputs were others."""
    outputs: Mapping[str, Any]
    usage: Usage
    started_ms: int
    duration_ms: int
    attempts: int


Entry = RunHeader | CallEntry | StageEntry


class Journal(Struct, frozen=True, kw_only=True):
    """All entries of one run; empty for a run that begins."""

    header: RunHeader | None = None
    stages: Mapping[str, StageEntry] = field(default_factory=dict)
    calls: Mapping[tuple[str, int], CallEntry] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: tuple[Entry, ...]) -> "Journal":
        """Return *entries* of one run, sorted into their places."""
        header: RunHeader | None = None
        stages: dict[str, StageEntry] = {}
        calls: dict[tuple[str, int], CallEntry] = {}
        for entry in entries:
            match entry:
                case RunHeader():
                    header = entry
                case StageEntry():
                    stages[entry.stage] = entry
                case CallEntry():
                    calls[entry.stage, entry.ordinal] = entry
        return cls(header=header, stages=stages, calls=calls)


def entry_key(entry: Entry) -> str:
    """Return the part of the table key that tells the entries of a run apart."""
    match entry:
        case RunHeader():
            return "h"
        case StageEntry():
            return f"s/{entry.stage}"
        case CallEntry():
            return f"c/{entry.stage}/{entry.ordinal}"


def pack(entry: Entry) -> bytes:
    """Return the stored form of *entry*: a format byte, then JSON."""
    match entry:
        case RunHeader():
            return _stored(
                "h",
                entry.pipeline_version,
                entry.fingerprint,
                entry.started_ms,
                entry.attempt,
            )
        case StageEntry():
            return _stored(
                "s",
                entry.stage,
                entry.sequence,
                entry.version,
                entry.fingerprint,
                entry.outputs,
                _usage(entry.usage),
                entry.started_ms,
                entry.duration_ms,
                entry.attempts,
            )
        case CallEntry():
            return _stored(
                "c",
                entry.stage,
                entry.ordinal,
                entry.digest,
                entry.text,
                _usage(entry.usage),
            )


def unpack(stored: bytes) -> Entry:
    """Read one entry back.

    Raises:
        StateNewerError: the format is newer than this worker.
        StateError: it is damaged.
    """
    if stored[:1] > FORMAT:
        raise StateNewerError(WHAT, stored[:1])
    if stored[:1] != FORMAT:
        raise StateError(WHAT, f"damaged: format {stored[:1]!r}")
    try:
        kind, *body = orjson.loads(stored[1:])
        return _UNPACK[kind](body)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise StateError(WHAT, f"damaged: {error}") from error


def _stored(*body: object) -> bytes:
    return FORMAT + orjson.dumps(body, default=json_form)


def _usage(usage: Usage) -> list[Any]:
    return [
        usage.calls,
        usage.input_tokens,
        usage.output_tokens,
        usage.cost_usd,
        usage.cached_calls,
    ]


def _usage_of(stored: list[Any]) -> Usage:
    calls, input_tokens, output_tokens, cost_usd, cached_calls = stored
    return Usage(
        calls=calls,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=cost_usd,
        cached_calls=cached_calls,
    )


def _header(body: list[Any]) -> Entry:
    version, fingerprint, started_ms, attempt = body
    return RunHeader(
        pipeline_version=version,
        fingerprint=fingerprint,
        started_ms=started_ms,
        attempt=attempt,
    )


def _stage(body: list[Any]) -> Entry:
    stage, sequence, version, fingerprint, outputs, usage, *times = body
    started_ms, duration_ms, attempts = times
    return StageEntry(
        stage=stage,
        sequence=sequence,
        version=version,
        fingerprint=fingerprint,
        outputs=outputs,
        usage=_usage_of(usage),
        started_ms=started_ms,
        duration_ms=duration_ms,
        attempts=attempts,
    )


def _call(body: list[Any]) -> Entry:
    stage, ordinal, digest, text, usage = body
    return CallEntry(
        stage=stage,
        ordinal=ordinal,
        digest=digest,
        text=text,
        usage=_usage_of(usage),
    )


_UNPACK: Final = {"h": _header, "s": _stage, "c": _call}
