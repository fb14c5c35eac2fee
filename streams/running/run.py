"""One request going through a pipeline: decided here, settled elsewhere.

    admitted ──► through the flow ──► OK
       │              │
       │              ├─ an output is a hole ─────────────────────► PARTIAL
       │              ├─ a stage failed, and no policy helps ─────► ERROR
       │              └─ the deadline passed ─────────────────────► EXPIRED
       ├─ pipeline, version or inputs are wrong ──► REJECTED
       └─ the deadline passed ────────────────────► EXPIRED

What holds: a run ends in exactly one :class:`RunEnd` whatever happens, cancellation
apart. What a stage left is emitted before another one begins, with the journal entry
that saves paying for it twice; what the last one left rides in the end.
"""

from collections.abc import Callable
from functools import partial

from msgspec import Struct

from schemas.records import Request, Result, Source, Timings
from streams.clock import Clock
from streams.errors import DeadlineError, RequestError
from streams.failures import Failure
from streams.journal import Journal
from streams.json_form import json_value
from streams.metrics import Recorder
from streams.permit import ALWAYS, Permit
from streams.plan import Pipeline
from streams.running.admission import admit
from streams.running.engine import Engine
from streams.running.run_journal import RunJournal
from streams.running.run_progress import RunProgress
from streams.running.run_records import Outcome, RunRecords
from streams.running.stage_runs import StageRuns
from streams.running.values import Hole
from streams.session import Session, Turn
from streams.settlement import Progress, RunEnd
from streams.stage import Fields


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
        end = state.failed(Failure.of(error))
    else:
        end = await state.through_flow(inputs)
    state.measure(end.result)
    return end


class _Run:
    """The state of one run, from its beginning to its end."""

    __slots__ = (
        "began_s",
        "engine",
        "journal",
        "pipeline",
        "progress",
        "records",
        "request",
        "session",
        "stages",
        "start",
        "took_s",
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
        self.progress = RunProgress(
            self.journal,
            self.records,
            start.clock,
            says_all=pipeline.progress == "all",
        )
        self.stages = StageRuns(
            request=request,
            journal=self.journal,
            progress=self.progress,
            clock=start.clock,
            recorder=start.recorder,
            permit=start.permit,
            # Not a method of ours: in a ring, requests stay until the next collection.
            history=partial(_history, self.session, pipeline.name),
        )
        self.engine = Engine(pipeline.flow, self.stages, self.progress)

    async def through_flow(self, inputs: Fields) -> RunEnd:
        """Run all stages but those that the journal answers for."""
        values = dict(inputs)
        try:
            await self.engine.run(values)
        except Failure as failure:
            # The frames of its traceback hold it: a ring, with the request in it.
            return self.failed(failure.with_traceback(None))
        except BaseException:
            # Cancelled: what ended is still worth keeping.
            self.progress.flush()
            raise
        return self._finished(inputs, values)

    def failed(self, failure: Failure) -> RunEnd:
        """Return an end without an answer."""
        return RunEnd(
            result=self._terminal(Outcome(status=failure.status, error=failure.info)),
            stage=self.progress.last(),
            session=self._session_after(None),
            bug=failure.bug,
        )

    def measure(self, result: Result) -> None:
        """Count how the run ended."""
        recorder, name = self.start.recorder, self.pipeline.name
        code = result.error.code if result.error else ""
        recorder.count(
            "penstock_runs_total", pipeline=name, status=result.status, code=code
        )
        recorder.observe("penstock_run_seconds", self.took_s, pipeline=name)

    def _finished(self, inputs: Fields, values: Fields) -> RunEnd:
        made = {field.name: values[field.name] for field in self.pipeline.outputs}
        holes = [value for value in made.values() if type(value) is Hole]
        outputs = {
            name: None if type(value) is Hole else value for name, value in made.items()
        }
        outcome = Outcome(status="OK", outputs=outputs)
        if holes:
            error = holes[0].error
            outcome = Outcome(status="PARTIAL", outputs=outputs, error=error)
        return RunEnd(
            result=self._terminal(outcome),
            stage=self.progress.last(),
            # A turn that lacks something is none to go by: it counts, no more.
            session=self._session_after(None if holes else {**inputs, **outputs}),
        )

    def _terminal(self, outcome: Outcome) -> Result:
        self.took_s = self.start.clock.monotonic_s() - self.began_s
        return self.records.terminal(
            outcome,
            turn=None if self.session is None else self.session.turns + 1,
            usage=self.stages.usage,
            timings=Timings(
                queued_ms=max(0, self.journal.began_ms - self.start.timestamp_ms),
                # Of a resumed run: what its stages took, not the time in between.
                running_ms=round(self.took_s * 1_000) + self.stages.journalled_ms,
                stages=self.stages.stages_ms,
            ),
            sequence=self.progress.sequence,
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


def _history(session: Session | None, pipeline: str) -> tuple[Turn, ...]:
    return () if session is None else session.of(pipeline)
