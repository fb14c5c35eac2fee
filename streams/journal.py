"""The journal: what an unfinished run has paid for, so that no one pays it twice.

An entry is a value with a stored form. The edge writes entries to the journal table
in the same transactions as everything else; it hands the entries of a resumed run
back as a :class:`Journal`. Nothing here knows Kafka or RocksDB.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from msgspec import Struct, field
from msgspec.structs import asdict

from schemas.records import ErrorInfo, Usage
from streams.errors import StateError, StateNewerError
from streams.json_form import json_form

FORMAT: Final = b"\x02"
"""First byte of a stored entry. A worker refuses formats newer than its own.

1: the header has no sequence, and a stage no error; the site is the stage's name.
"""

READ: Final = (b"\x01", FORMAT)

WHAT: Final = "journal entry"


class RunHeader(Struct, frozen=True, kw_only=True):
    """What a run began with; a resumed run keeps it."""

    pipeline_version: int
    fingerprint: str
    """Of the pipeline with the programs of all its stages."""
    started_ms: int
    attempt: int
    """Counts the workers that took the run up, from 1."""
    sequence: int = 0
    """Of the last stage record when this was written; entries may hold later ones."""


class CallEntry(Struct, frozen=True, kw_only=True):
    """One finished LM call, or tool call, of a stage that is not finished."""

    site: str
    """Iteration path of the stage, and its branch if it makes several at once."""
    ordinal: int
    """Counts the calls of the site in this run, from 0."""
    digest: str
    """Of messages, LM and parameters: another call is another digest."""
    text: str
    usage: Usage


class StageEntry(Struct, frozen=True, kw_only=True):
    """One finished stage of an unfinished run."""

    site: str
    """Its iteration path; outside of maps and loops the name of the stage."""
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
    """0 for a stage that was skipped."""
    error: ErrorInfo | None = None
    """Of a stage that failed, or was skipped: why there are no outputs."""


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
                    stages[entry.site] = entry
                case CallEntry():
                    calls[entry.site, entry.ordinal] = entry
        return cls(header=header, stages=stages, calls=calls)

    @property
    def sequence(self) -> int:
        """Of the last stage record that was settled, whichever pipeline made it."""
        return max(
            0 if self.header is None else self.header.sequence,
            *(entry.sequence for entry in self.stages.values()),
            0,
        )


def entry_key(entry: Entry) -> str:
    """Return the part of the table key that tells the entries of a run apart."""
    match entry:
        case RunHeader():
            return "h"
        case StageEntry():
            return f"s/{entry.site}"
        case CallEntry():
            return f"c/{entry.site}/{entry.ordinal}"


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
                entry.sequence,
            )
        case StageEntry():
            return _stored(
                "s",
                entry.site,
                entry.sequence,
                entry.version,
                entry.fingerprint,
                entry.outputs,
                _usage(entry.usage),
                entry.started_ms,
                entry.duration_ms,
                entry.attempts,
                None if entry.error is None else asdict(entry.error),
            )
        case CallEntry():
            return _stored(
                "c",
                entry.site,
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
    if stored[:1] not in READ:
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
    version, fingerprint, started_ms, attempt, *rest = body
    return RunHeader(
        pipeline_version=version,
        fingerprint=fingerprint,
        started_ms=started_ms,
        attempt=attempt,
        sequence=rest[0] if rest else 0,
    )


def _stage(body: list[Any]) -> Entry:
    site, sequence, version, fingerprint, outputs, usage, *rest = body
    started_ms, duration_ms, attempts, *failed = rest
    return StageEntry(
        site=site,
        sequence=sequence,
        version=version,
        fingerprint=fingerprint,
        outputs=outputs,
        usage=_usage_of(usage),
        started_ms=started_ms,
        duration_ms=duration_ms,
        attempts=attempts,
        error=ErrorInfo(**failed[0]) if failed and failed[0] else None,
    )


def _call(body: list[Any]) -> Entry:
    site, ordinal, digest, text, usage = body
    return CallEntry(
        site=site,
        ordinal=ordinal,
        digest=digest,
        text=text,
        usage=_usage_of(usage),
    )


_UNPACK: Final = {"h": _header, "s": _stage, "c": _call}
