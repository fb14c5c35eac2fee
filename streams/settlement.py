"""Settlements: all that follows from one record, as a value, and nothing done yet."""

from typing import Literal

from msgspec import Struct

from schemas.records import Result, Source, StageResult
from streams.journal import Entry
from streams.session import Session

ProgressEvents = Literal["finished", "all"]
"""Of what there are stage records. ``finished``: also of what was skipped. ``all``: of
beginnings and percents too."""

Role = Literal["requests", "stages", "results", "dlq"]
"""What a topic is for: ``<prefix>.<pipeline>.<role>``."""


class RunEnd(Struct, frozen=True, kw_only=True):
    """How a run ended: its terminal, its last stage, the session as it stands now."""

    result: Result
    stage: StageResult | None = None
    """The record of the last stage: it settles with the terminal."""
    session: Session | None = None
    """None where the request has no session, or its pipeline keeps none."""
    bug: BaseException | None = None
    """Set with ``stage.bug``: the edge adds a diagnostic dead letter."""


class Progress(Struct, frozen=True, kw_only=True):
    """Something finished in the middle of a run: it settles without an offset."""

    entries: tuple[Entry, ...]
    stage: StageResult | None = None
    instead: tuple[Entry, ...] = ()
    """What keeps the number of *stage* if *entries* are too large to be kept."""


class Publish(Struct, frozen=True, kw_only=True):
    """One record to publish, encoded."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    """None for the partition of the task that settles."""
    timestamp_ms: int | None = None


class Write(Struct, frozen=True, kw_only=True):
    """One table write; a value of None is a tombstone."""

    table: str
    key: bytes
    value: bytes | None


class Settlement(Struct, frozen=True, kw_only=True):
    """Records, table writes, and the source record that they answer for."""

    records: tuple[Publish, ...] = ()
    writes: tuple[Write, ...] = ()
    source: Source | None = None
    """The record on *our* topic partition that is finished with this; or None."""
