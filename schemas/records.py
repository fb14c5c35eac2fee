"""The records that penstock shares with everybody else, as values."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct, field

Status = Literal["OK", "PARTIAL", "ERROR", "REJECTED", "EXPIRED", "CANCELLED"]
Event = Literal["finished", "started", "percent", "skipped"]
Mode = Literal["NORMAL", "DRY_RUN", "DEBUG"]

STATUSES: Final = ("OK", "PARTIAL", "ERROR", "REJECTED", "EXPIRED", "CANCELLED")
EVENTS: Final = ("finished", "started", "percent", "skipped")
MODES: Final = ("NORMAL", "DRY_RUN", "DEBUG")


class Source(Struct, frozen=True, kw_only=True):
    """Where a record came from: the origin's coordinates, even after a re-route."""

    topic: str
    partition: int
    offset: int


class Request(Struct, frozen=True, kw_only=True):
    """One decoded record of a request topic, before its inputs are validated."""

    request_id: str
    pipeline: str
    inputs: Mapping[str, Any]
    session_id: str | None = None
    pipeline_version: int | None = None
    """The version asked for; None for the one that runs."""
    deadline_ms: int | None = None
    """Moment after which a result is pointless, epoch milliseconds."""
    priority: int = 0
    tenant: str | None = None
    mode: str = "NORMAL"
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        """The key that decides order and partition: the session's, else its own."""
        return self.session_id or self.request_id


class ErrorInfo(Struct, frozen=True, kw_only=True):
    """Why a request has no (complete) answer."""

    code: str
    """Stable and dotted, such as ``stage.timeout``; never renamed."""
    message: str
    stage: str | None = None
    field: str | None = None
    retryable: bool = False
    hint: str | None = None
    cause: str | None = None


class Usage(Struct, frozen=True, kw_only=True):
    """What the LM calls of a stage or a request cost."""

    calls: int = 0
    """Calls that an LM answered, whether or not the answer could be used."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    """None where no price is known."""
    cached_calls: int = 0
    """Calls answered from the journal or a cache, paid before."""

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum; an unknown cost stays unknown only if both are."""
        costs = [c for c in (self.cost_usd, other.cost_usd) if c is not None]
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=sum(costs) if costs else None,
            cached_calls=self.cached_calls + other.cached_calls,
        )


class Timings(Struct, frozen=True, kw_only=True):
    """Where the time of a request went, in milliseconds."""

    queued_ms: int = 0
    """From the record's timestamp until its run began."""
    running_ms: int = 0
    stages: Mapping[str, int] = field(default_factory=dict)


class StageResult(Struct, frozen=True, kw_only=True):
    """What one stage left behind, or how far it is."""

    request_id: str
    pipeline: str
    pipeline_version: int
    stage: str
    status: Status
    sequence: int
    """Counts the stage records of a request from 1, without a gap."""
    session_id: str | None = None
    replay: int = 0
    outputs: Mapping[str, Any] | None = None
    error: ErrorInfo | None = None
    usage: Usage = field(default_factory=Usage)
    started_ms: int = 0
    duration_ms: int = 0
    attempts: int = 1
    """Answers it took, counted from 1."""
    version: str = ""
    """``program@fingerprint`` of what the stage ran."""
    source: Source | None = None
    path: str = ""
    """Iteration path, ``map.1/17/sum_up``; outside of maps and loops the stage's name.
    Of ``percent`` that of the map or loop, and so is *stage*."""
    event: Event = "finished"
    """``skipped``: not run, for want of what a stage that failed would have made; the
    error is that stage's. ``started``: *attempts* counts the workers that took it up.
    """
    percent: int | None = None
    """Of a map's elements, or of a loop's iterations at most, those that ended."""


class Result(Struct, frozen=True, kw_only=True):
    """The terminal: the only one of its request."""

    request_id: str
    pipeline: str
    pipeline_version: int
    status: Status
    session_id: str | None = None
    turn: int | None = None
    """Counts the terminals of a session from 1; None without a session."""
    replay: int = 0
    outputs: Mapping[str, Any] | None = None
    error: ErrorInfo | None = None
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    versions: Mapping[str, str] = field(default_factory=dict)
    source: Source | None = None
    sequence: int = 0
    """That of the request's last stage record; 0 if it has none."""
