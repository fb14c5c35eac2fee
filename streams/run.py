"""One request going through a pipeline: decided here, settled elsewhere.

    admitted ──► stage by stage ──► OK
       │              │
       │              ├─ an attempt failed, and no other is left ──► ERROR
       │              └─ the deadline passed ──────────────────────► EXPIRED
       ├─ pipeline, version or inputs are wrong ──► REJECTED
       └─ the deadline passed ────────────────────► EXPIRED

What holds: a run ends in exactly one :class:`RunEnd` whatever happens, cancellation
apart. What a stage left is emitted before the next one begins, with the journal entry
that saves paying for it twice; what the last one left rides in the end.
"""

from collections.abc import Callable

from msgspec import Struct

from schemas.records import Request, Result, Source, StageResult, Timings, Usage
from streams.admission import admit
from streams.attempts import StageEnd, perform
from streams.calls import NO_USAGE, StageCalls
from streams.clock import Clock
from streams.errors import (
    DeadlineError,
    RequestError,
    StageBugError,
    StreamsError,
)
from streams.journal import Journal, StageEntry
from streams.json_form import json_value
from streams.metrics import Recorder
from streams.permit import ALWAYS, Permit
from streams.plan import Pipeline
from streams.planned import PlannedStage
from streams.run_journal import RunJournal
from streams.run_records import RunRecords
from streams.session import Session, Turn
from streams.settlement import Progress, RunEnd
from streams.stage import Fields, RunContext


class RunStart(Struct, frozen=True, kw_only=True):
    """All that a run is given besides its request."""

    source: Source
    """The origin of the request: it stands in all its records."""
    timestamp_ms: int
    """Of the request's record."""
    session: Session | None
    """The session as it stands; None for one that begins, or a request without."""
    journal: Journal
    """Empty, unless another worker had begun this run."""
    replay: int
    clock: Clock
    recorder: Recorder
    emit: Callable[[Progress], None]
    """Takes what finishes in the middle of the run; returns at once."""
    permit: Permit = ALWAYS
    """Asked before anything begins that costs."""


async def run(pipeline: Pipeline, request: Request, start: RunStart) -> RunEnd:
    """Take *request* through *pipeline*.

    Raises:
        CancelledError: and nothing else; whatever happens to a request is a result.
    """
    now_ms = start.clock.now_ms()
    state = _Run(pipeline, request, start, now_ms)
    try:
        inputs = admit(pipeline, request, start.recorder, now_ms=now_ms)
    except (RequestError, DeadlineError) as error:
        end = state.failed(error, None)
    else:
        end = await state.through_stages(inputs)
    state.measure(end.result)
    return end


class _Run:
    """The state of one run, from its beginning to its end."""

    __slots__ = (
        "began_s",
        "journal",
        "journalled_ms",
        "pipeline",
        "records",
        "request",
        "sequence",
        "session",
        "stages_ms",
        "start",
        "took_s",
        "usage",
    )

    def __init__(
        self, pipeline: Pipeline, request: Request, start: RunStart, now_ms: int
    ) -> None:
        self.pipeline = pipeline
        self.request = request
        self.start = start
        self.began_s = start.clock.monotonic_s()
        self.took_s = 0.0
        self.journal = RunJournal(
            start.journal, pipeline, start.emit, start.recorder, now_ms=now_ms
        )
        self.records = RunRecords(
            pipeline=pipeline,
            request=request,
            replay=start.replay,
            source=start.source,
        )
        self.session = self._session()
        self.sequence = 0
        self.usage = NO_USAGE
        self.stages_ms: dict[str, int] = {}
        self.journalled_ms = 0

    async def through_stages(self, inputs: Fields) -> RunEnd:
        """Run all stages but those that the journal answers for."""
        values = dict(inputs)
        last = self.pipeline.stages[-1]
        record: StageResult | None = None
        for planned in self.pipeline.stages:
            entry = self.journal.finished(planned)
            if entry is not None:
                self._take(entry)
                # Entries hold JSON: dates and the like are made of it again.
                outputs, _ = planned.check(entry.outputs)
                values.update(outputs)
                continue
            end, record = await self._stage(planned, values)
            if end.error is not None:
                return self.failed(end.error, record)
            values.update(end.outputs)
            if planned is not last:
                self.journal.emit_stage(record)
        return self._finished(inputs, values, record)

    def failed(self, error: StreamsError, record: StageResult | None) -> RunEnd:
        """Return an end without an answer; *record* is of the stage that failed."""
        return RunEnd(
            result=self._terminal(None, error),
            stage=record if record is not None and record.attempts else None,
            session=self._session_after(None),
            bug=error.error if isinstance(error, StageBugError) else None,
        )

    def measure(self, result: Result) -> None:
        """Count how the run ended."""
        recorder, name = self.start.recorder, self.pipeline.name
        code = result.error.code if result.error else ""
        recorder.count(
            "penstock_runs_total", pipeline=name, status=result.status, code=code
        )
        recorder.observe("penstock_run_seconds", self.took_s, pipeline=name)

    def _finished(
        self, inputs: Fields, values: Fields, record: StageResult | None
    ) -> RunEnd:
        outputs = {field.name: values[field.name] for field in self.pipeline.outputs}
        return RunEnd(
            result=self._terminal(outputs),
            stage=record,
            session=self._session_after({**inputs, **outputs}),
        )

    async def _stage(
        self, planned: PlannedStage, values: Fields
    ) -> tuple[StageEnd, StageResult]:
        clock, recorder = self.start.clock, self.start.recorder
        calls = StageCalls(
            planned.name,
            self.journal.calls,
            self.journal.emit,
            recorder,
            self.start.permit,
        )
        context = RunContext(
            request_id=self.request.request_id,
            clock=clock,
            calls=calls,
            deadline_ms=self.request.deadline_ms,
            history=self._history() if planned.reads_history else (),
        )
        fields = {name: values[name] for name in planned.takes}
        fields.update(planned.constants)
        started_ms, started_s = clock.now_ms(), clock.monotonic_s()
        try:
            end = await perform(planned, fields, context, calls, recorder)
        except BaseException:
            # Cancelled: what was answered is still worth keeping.
            calls.save()
            raise
        took_s = clock.monotonic_s() - started_s
        recorder.observe("penstock_stage_seconds", took_s, **planned.labels)
        if end.usage is not NO_USAGE:
            self.usage = self.usage.plus(end.usage)
        self.stages_ms[planned.name] = took_ms = round(took_s * 1_000)
        self.sequence += 1
        return end, self.records.of_stage(
            planned,
            end,
            sequence=self.sequence,
            started_ms=started_ms,
            duration_ms=took_ms,
        )

    def _take(self, entry: StageEntry) -> None:
        paid = entry.usage.calls + entry.usage.cached_calls
        self.usage = self.usage.plus(Usage(cached_calls=paid))
        self.sequence = entry.sequence
        self.stages_ms[entry.stage] = entry.duration_ms
        self.journalled_ms += entry.duration_ms
        self.start.recorder.count("penstock_journal_hits_total", kind="stage")

    def _terminal(
        self, outputs: Fields | None, error: StreamsError | None = None
    ) -> Result:
        self.took_s = self.start.clock.monotonic_s() - self.began_s
        return self.records.terminal(
            outputs=outputs,
            error=error,
            turn=None if self.session is None else self.session.turns + 1,
            usage=self.usage,
            timings=Timings(
                queued_ms=max(0, self.journal.began_ms - self.start.timestamp_ms),
                # Of a resumed run: what its stages took, not the time in between.
                running_ms=round(self.took_s * 1_000) + self.journalled_ms,
                stages=self.stages_ms,
            ),
        )

    def _session(self) -> Session | None:
        policy, session_id = self.pipeline.session, self.request.session_id
        if policy is None or session_id is None:
            return None
        stored = self.start.session
        session = policy.opened(stored, session_id, now_ms=self.journal.began_ms)
        if stored is not None and session is not stored:
            name = self.pipeline.name
            self.start.recorder.count("penstock_sessions_expired_total", pipeline=name)
        return session

    def _session_after(self, fields: Fields | None) -> Session | None:
        """Return the session with this turn; None for *fields* if it has no answer."""
        policy = self.pipeline.session
        if self.session is None or policy is None:
            return None
        now_ms = self.start.clock.now_ms()
        turn = None
        if fields is not None:
            turn = Turn(
                pipeline=self.pipeline.name,
                request_id=self.request.request_id,
                at_ms=now_ms,
                # As it comes back from the store: a history shows the same either way.
                fields=json_value(fields),
            )
        return self.session.after(turn, at_ms=now_ms, keep=policy.keep)

    def _history(self) -> tuple[Turn, ...]:
        return () if self.session is None else self.session.of(self.pipeline.name)
