"""One stage at one place of a run: remembered or performed, and what its end means.

holes among its inputs ──► skipped: holes among its outputs
in the journal ──────────► taken from there, be it outputs or an error
else ────────────────────► performed; its record is published

outputs ──► among the values
an error ─┬─ the policy is to fail ──► Failure
          ├─ to skip ──► holes
          ├─ a default ──► those outputs
          └─ a stage ──► that stage, in the same way
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from schemas.records import Request, Usage
from streams.calls import NO_USAGE, Purse, StageCalls
from streams.clock import Clock
from streams.failures import Failure
from streams.journal import StageEntry
from streams.metrics import Recorder
from streams.permit import Permit
from streams.planned import Fail, PlannedStage, Skip, UseDefault, UseStage
from streams.running.attempts import perform, time_left_s
from streams.running.run_journal import RunJournal
from streams.running.run_progress import RunProgress
from streams.running.run_records import Ended
from streams.running.values import Hole, Scope
from streams.session import Turn
from streams.stage import RunContext


class StageRuns(Struct, kw_only=True):
    """Runs the stages of one run, and adds up what they took."""

    request: Request
    journal: RunJournal
    progress: RunProgress
    clock: Clock
    recorder: Recorder
    permit: Permit
    history: Callable[[], tuple[Turn, ...]]
    """The session's answered requests, for stages that read them."""
    usage: Usage = NO_USAGE
    stages_ms: dict[str, int] = field(default_factory=dict)
    """By stage, all its iterations together."""
    journalled_ms: int = 0
    """Of those that an earlier worker ran."""
    has_holes: bool = False

    async def run(self, planned: PlannedStage, scope: Scope) -> None:
        """Run *planned* on the values of *scope*; leave its outputs there.

        Raises:
            Failure: it failed, and no policy helps.
        """
        path = scope.path + planned.name
        hole = scope.first_hole(_needed(planned)) if self.has_holes else None
        if hole is not None:
            self.progress.skipped(planned, path, hole)
            self.progress.goes_on()
            self._leave_holes(planned, scope, hole)
            return
        entry = self.journal.finished(planned, path)
        if entry is None:
            scope.worked = True
            failure = await self._performed(planned, scope, path)
        else:
            failure = self._taken(planned, scope, entry)
        if failure is not None:
            await self._after(failure, planned, scope)
        self.progress.goes_on()

    async def _after(
        self, failure: Failure, planned: PlannedStage, scope: Scope
    ) -> None:
        """Go on as the stage's policy says."""
        policy = planned.on_failure
        if failure.is_final or isinstance(policy, Fail):
            raise failure
        match policy:
            case Skip():
                self._leave_holes(planned, scope, Hole(failure.info))
            case UseDefault(outputs=outputs):
                scope.values.update(outputs)
            case UseStage(stage=other):
                its = scope.inside(scope.path, {})
                await self.run(other, its)
                scope.worked |= its.worked
                for made in planned.outputs:
                    # What only its kind adds, the other need not have.
                    if made.name in its.values:
                        scope.values[made.name] = its.values[made.name]

    async def _performed(
        self, planned: PlannedStage, scope: Scope, path: str
    ) -> Failure | None:
        """Run the stage; leave its outputs, or return why there are none."""
        clock = self.clock
        purse = Purse(
            request_id=self.request.request_id,
            stage=planned.name,
            journal=self.journal.calls,
            emit=self.journal.emit,
            recorder=self.recorder,
            permit=self.permit,
        )
        calls = StageCalls(purse, path)
        context = RunContext(
            request_id=self.request.request_id,
            clock=clock,
            calls=calls,
            deadline_ms=self.request.deadline_ms,
            history=self.history() if planned.reads_history else (),
            path=path,
        )
        fields = self._fields(planned, scope.values)
        self.progress.begin(planned, path, in_time=time_left_s(context) > 0)
        started_ms, started_s = clock.now_ms(), clock.monotonic_s()
        try:
            end = await perform(planned, fields, context, calls, self.recorder)
        except BaseException:
            # Cancelled: what was answered is still worth keeping.
            purse.save()
            raise
        finally:
            purse.close()
            self.progress.stop()
        took_s = clock.monotonic_s() - started_s
        took_ms = round(took_s * 1_000)
        self.recorder.observe("penstock_stage_seconds", took_s, **planned.labels)
        self._add(planned, end.usage, took_ms)
        failure = None if end.error is None else Failure.of(end.error)
        self.progress.ended(
            Ended(
                planned=planned,
                path=path,
                end=end,
                failure=failure,
                started_ms=started_ms,
                duration_ms=took_ms,
            )
        )
        if failure is None:
            scope.values.update(end.outputs)
        return failure

    def _taken(
        self, planned: PlannedStage, scope: Scope, entry: StageEntry
    ) -> Failure | None:
        """Let the entry of an earlier worker stand for the stage."""
        paid = entry.usage.calls + entry.usage.cached_calls
        self._add(planned, Usage(cached_calls=paid), entry.duration_ms)
        self.journalled_ms += entry.duration_ms
        self.recorder.count("penstock_journal_hits_total", kind="stage")
        if entry.error is not None:
            return Failure("ERROR", entry.error)
        scope.values.update(entry.outputs)
        return None

    def _fields(
        self, planned: PlannedStage, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            fields = {name: values[name] for name in planned.takes}
        except KeyError:
            # In the first iteration of a loop: it is made further down.
            fields = {**planned.instead_of_holes}
            fields.update((n, values[n]) for n in planned.takes if n in values)
        fields.update(planned.constants)
        if self.has_holes:
            for name, instead in planned.instead_of_holes.items():
                if type(fields[name]) is Hole:
                    fields[name] = instead
        return fields

    def leave_holes(self, names: tuple[str, ...], scope: Scope, hole: Hole) -> None:
        """Let *names* be holes: a part of the flow is not run for want of a value."""
        self.has_holes = True
        scope.fill(names, hole)

    def _leave_holes(self, planned: PlannedStage, scope: Scope, hole: Hole) -> None:
        self.leave_holes(tuple(f.name for f in planned.outputs), scope, hole)

    def _add(self, planned: PlannedStage, usage: Usage, took_ms: int) -> None:
        if usage is not NO_USAGE:
            self.usage = self.usage.plus(usage)
        name = planned.name
        self.stages_ms[name] = self.stages_ms.get(name, 0) + took_ms


def _needed(planned: PlannedStage) -> list[str]:
    return [n for n in planned.takes if n not in planned.instead_of_holes]
