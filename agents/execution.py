"""An execution: one run's way through the edge, from its state to its settlement."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from agents.dead_letters import dead_letter
from agents.ledger import LedgerEntry, ledger_key
from agents.metrics import Metrics
from agents.pending import Pending, nothing_smaller
from agents.record import ECHOED, ECHOED_BYTES, Record
from agents.serde import Serde
from agents.tables import JOURNAL, LEDGER, SESSIONS
from agents.task import View
from schemas.errors import EncodeError
from schemas.records import ErrorInfo, Request, Result, Source, StageResult
from streams.clock import Clock
from streams.errors import StageBugError
from streams.journal import Entry, Journal, entry_key, pack, unpack
from streams.plan import Pipeline
from streams.running.run import RunStart
from streams.session import Session
from streams.settlement import Progress, Publish, RunEnd, Settlement, Write

log = structlog.get_logger(__name__)

MESSAGE_CHARS: Final = 2_000
"""Longest error message in a result; it may quote an answer."""

_Told = TypeVar("_Told", Result, StageResult)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every execution of one pipeline shares."""

    pipeline: Pipeline
    serde: Serde
    clock: Clock
    metrics: Metrics
    group: str
    limit_bytes: int
    """What key and value of one record may weigh together."""

    def set_aside(self, record: Record, code: str, reason: str) -> Publish:
        """Return the dead letter of *record*, counted."""
        self.metrics.count(
            "penstock_dead_letters_total", pipeline=self.pipeline.name, code=code
        )
        topic = self.serde.topics.dlq
        return dead_letter(topic, record, code=code, reason=reason, group=self.group)


class Arrived(Struct, frozen=True, kw_only=True):
    """A decoded request with everything that is known of its record."""

    record: Record
    pipeline: str
    """The topic's; the request may name another, and is rejected for it."""
    request: Request
    origin: Source
    replay: int

    @property
    def run(self) -> bytes:
        """The key of this execution in ledger and journal."""
        r = self.request
        return ledger_key(self.pipeline, r.home, r.request_id, self.replay)


class Execution:
    """One run's way through the edge: what it reads, and what it settles."""

    def __init__(self, parts: Parts, view: View, arrived: Arrived) -> None:
        self._parts = parts
        self._view = view
        self._arrived = arrived
        self._journalled: set[bytes] = set()
        self._sequence = 0
        """Of the last stage record that was emitted, by whichever worker."""

    def start(self) -> RunStart:
        """Return everything that the run begins with."""
        parts, arrived = self._parts, self._arrived
        # Before the session: if that cannot be used, what is journalled still goes.
        journal = self._journal()
        self._sequence = journal.sequence
        return RunStart(
            source=arrived.origin,
            timestamp_ms=arrived.record.timestamp_ms,
            session=self._session(),
            journal=journal,
            replay=arrived.replay,
            clock=parts.clock,
            recorder=parts.metrics,
            emit=self._emit,
            permit=self._view.permit,
        )

    def final(self, end: RunEnd) -> Pending:
        """Return the final settlement of a run that ended with *end*."""
        end = self._without_refused(end)
        records = [self._result(end.result)]
        if end.stage is not None:
            records.insert(0, self._stage(end.stage))
        if end.bug is not None:
            records.append(self._diagnostic(end.bug))
        writes = [*self._closing_writes(), *_session_writes(end.session)]
        if not self._fits(records, writes):
            reason = self._too_large(records, writes)
            stage = self._that_fits(end.stage)
            return self._counted("result.too_large", reason, end, stage)
        return Pending(
            settlement=self._settlement(records, writes),
            instead=lambda reason: self._refused(end, reason),
        )

    def _refused(self, end: RunEnd, reason: str) -> Pending:
        """Return what settles in place of a final settlement that Kafka refused."""
        cleaned = self._without_refused(end)
        if cleaned != end:
            # Not this run's fault: it had seen a turn that was refused meanwhile.
            return self.final(cleaned)
        self._view.refuse(self._arrived.request.request_id)
        stage = end.stage
        if stage is not None:
            stage = _without_outputs(stage, "result.refused", reason)
        return self._counted("result.refused", reason, end, stage)

    def _without_refused(self, end: RunEnd) -> RunEnd:
        """Return *end* without turns in its session that Kafka never took."""
        refused = self._view.refused()
        if end.session is None or not refused:
            return end
        return replace(end, session=_forgetting(end.session, refused))

    def _that_fits(self, stage: StageResult | None) -> StageResult | None:
        if stage is None or self._fits([self._stage(stage)], []):
            return stage
        return _without_outputs(stage, "result.too_large", "too large to keep")

    def _counted(
        self, code: str, message: str, end: RunEnd, stage: StageResult | None
    ) -> Pending:
        """Return an ERROR terminal that is a turn of its session, without a trace.

        As after every failed run: the turn counts, and leaves no history. The number
        of the last *stage* is the result's: without its record there would be a gap.
        """
        request = self._arrived.request
        result = _without_outputs(end.result, code, message)
        session = end.session
        if session is not None:
            session = _forgetting(session, {request.request_id})
        records = [] if stage is None else [self._stage(stage)]
        records.append(self._result(result))
        writes = [*self._closing_writes(), *_session_writes(session)]
        return Pending(
            settlement=self._settlement(records, writes),
            instead=lambda _reason: self._barely_counted(
                code, message, result.turn, writes
            ),
        )

    def _barely_counted(
        self, code: str, message: str, turn: int | None, writes: Sequence[Write]
    ) -> Pending:
        """Return the smallest terminal that is still a turn of its session.

        The request behind it may have seen that turn, and counts on from there.
        """
        result = replace(self._bare(code, message), turn=turn)
        return Pending(
            settlement=self._settlement([self._result(result)], writes),
            instead=lambda _reason: self.failed(code, message),
        )

    def failed(
        self, code: str, message: str, *, bug: BaseException | None = None
    ) -> Pending:
        """Return an ERROR terminal with no write but the ledger's."""
        records = [self._result(self._bare(code, message))]
        if bug is not None:
            records.append(self._diagnostic(bug))
        return Pending(
            settlement=self._settlement(records, self._closing_writes()),
            # Without the diagnostic, if it was that which Kafka refused.
            instead=lambda _reason: self.failed(code, message) if bug else None,
        )

    def _bare(self, code: str, message: str) -> Result:
        """Return an ERROR result that says why, and no more than it has to."""
        request = self._arrived.request
        return Result(
            request_id=request.request_id,
            session_id=request.session_id,
            pipeline=self._parts.pipeline.name,
            pipeline_version=self._parts.pipeline.version,
            status="ERROR",
            replay=self._arrived.replay,
            error=_error(code, message),
            source=self._arrived.origin,
            sequence=self._sequence,
        )

    def _emit(self, progress: Progress) -> None:
        """Settle what finished in the middle of the run.

        What is too large to remember is paid again after a crash, and told of again;
        what fits is kept. A stage record that is too large says so: its number is
        taken, and readers count without a gap.
        """
        stage, writes = progress.stage, self._journal_writes(progress.entries)
        if stage is not None:
            self._sequence = stage.sequence
        kept = {w.key: w for w in writes if self._fits([], [w])}
        records = [] if stage is None else [self._stage(stage)]
        if stage is not None and not self._fits(records, []):
            stage = _without_outputs(stage, "result.too_large", "too large to keep")
            records = [self._stage(stage)]
        if len(kept) < len(writes):
            log.warning(
                "journal.too_large", request_id=self._arrived.request.request_id
            )
            kept |= {w.key: w for w in self._journal_writes(progress.instead)}
        if kept or records:
            self._settle(stage, records, tuple(kept.values()))

    def _settle(
        self,
        stage: StageResult | None,
        records: Sequence[Publish],
        writes: tuple[Write, ...],
    ) -> None:
        self._journalled.update(write.key for write in writes)
        self._view.settle(
            Pending(
                settlement=Settlement(records=tuple(records), writes=writes),
                instead=lambda reason: self._entries_of(stage, writes, reason),
            )
        )

    def _entries_of(
        self, stage: StageResult | None, writes: tuple[Write, ...], reason: str
    ) -> Pending:
        """Return what settles in place of progress that Kafka refused."""
        # Without the record, if it is refused again: the answer stays paid for.
        bare = Pending(settlement=Settlement(writes=writes), instead=nothing_smaller)
        if stage is None or stage.outputs is None:
            return bare
        refused = _without_outputs(stage, "result.refused", reason)
        return Pending(
            settlement=Settlement(records=(self._stage(refused),), writes=writes),
            instead=lambda _reason: bare,
        )

    def _journal_writes(self, entries: Sequence[Entry]) -> tuple[Write, ...]:
        return tuple(
            Write(table=JOURNAL, key=self._journal_key(entry_key(e)), value=pack(e))
            for e in entries
        )

    def _session(self) -> Session | None:
        session_id = self._arrived.request.session_id
        if session_id is None or self._parts.pipeline.session is None:
            return None
        stored = self._view.get(SESSIONS, session_id.encode())
        return None if stored is None else Session.unpack(session_id, stored)

    def _journal(self) -> Journal:
        entries = self._view.journalled(self._arrived.run)
        if not entries:
            return _EMPTY
        self._journalled.update(self._arrived.run + b"\0\0" + name for name in entries)
        return Journal.of(tuple(unpack(value) for value in entries.values()))

    def _journal_key(self, entry: str) -> bytes:
        return self._arrived.run + b"\0\0" + entry.encode()

    def _closing_writes(self) -> list[Write]:
        """Return the ledger entry, and tombstones for what was journalled."""
        origin = self._arrived.origin
        entry = LedgerEntry(
            at_ms=self._parts.clock.now_ms(),
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
        )
        return [
            Write(table=LEDGER, key=self._arrived.run, value=entry.pack()),
            *(
                Write(table=JOURNAL, key=key, value=None)
                for key in sorted(self._journalled)
            ),
        ]

    def _settlement(
        self, records: Sequence[Publish], writes: Sequence[Write]
    ) -> Settlement:
        return Settlement(
            records=tuple(records),
            writes=tuple(writes),
            source=self._arrived.record.source,
        )

    def _result(self, result: Result) -> Publish:
        serde = self._parts.serde
        try:
            value = serde.result(result)
        except EncodeError as error:
            # An answer that its own schema refuses, such as a number beyond 64 bits.
            value = serde.result(
                _without_outputs(result, "result.unencodable", str(error))
            )
        return self._publish(self._parts.serde.topics.results, value)

    def _stage(self, stage: StageResult) -> Publish:
        serde = self._parts.serde
        try:
            value = serde.stage(stage)
        except EncodeError as error:
            value = serde.stage(
                _without_outputs(stage, "result.unencodable", str(error))
            )
        return self._publish(self._parts.serde.topics.stages, value)

    def _publish(self, topic: str, value: bytes) -> Publish:
        return Publish(
            topic=topic,
            key=self._arrived.request.home.encode(),
            value=value,
            headers=self._echoed(),
        )

    def _echoed(self) -> tuple[tuple[str, bytes], ...]:
        found: dict[str, bytes] = {}
        for name, value in self._arrived.record.headers:
            # The first of each name, within bounds: they ride in every record.
            if name in ECHOED and len(value or b"") <= ECHOED_BYTES:
                found.setdefault(name, value)
        return tuple(found.items())

    def _diagnostic(self, bug: BaseException) -> Publish:
        reason = f"{type(bug).__name__}: {bug}"
        return self._parts.set_aside(self._arrived.record, StageBugError.code, reason)

    def _fits(self, records: Sequence[Publish], writes: Sequence[Write]) -> bool:
        limit = self._parts.limit_bytes
        return all(_size(r) <= limit for r in records) and all(
            _size(w) <= limit for w in writes
        )

    def _too_large(self, records: Sequence[Publish], writes: Sequence[Write]) -> str:
        largest = max([_size(r) for r in records] + [_size(w) for w in writes])
        return f"{largest} bytes; a record may have {self._parts.limit_bytes}"


_EMPTY: Final = Journal()


def _session_writes(session: Session | None) -> list[Write]:
    if session is None:
        return []
    key = session.session_id.encode()
    return [Write(table=SESSIONS, key=key, value=session.pack())]


def _forgetting(session: Session, request_ids: Collection[str]) -> Session:
    """Return *session* with all its turns counted, and those of *request_ids* gone."""
    history = tuple(t for t in session.history if t.request_id not in request_ids)
    return replace(session, history=history)


def _without_outputs(told: _Told, code: str, message: str) -> _Told:
    return replace(told, status="ERROR", outputs=None, error=_error(code, message))


def _error(code: str, message: str) -> ErrorInfo:
    return ErrorInfo(code=code, message=message[:MESSAGE_CHARS])


def _size(item: Publish | Write) -> int:
    return len(item.value or b"") + len(item.key or b"")
