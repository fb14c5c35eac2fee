"""The records that a run leaves: of its stages, and the terminal."""

from msgspec import Struct
from msgspec.structs import replace

from schemas.records import (
    ErrorInfo,
    Request,
    Result,
    Source,
    StageResult,
    Status,
    Timings,
    Usage,
)
from streams.failures import Failure
from streams.plan import Pipeline
from streams.planned import PlannedStage
from streams.running.attempts import StageEnd
from streams.stage import Fields


class Ended(Struct, frozen=True, kw_only=True):
    """A stage that was run: how it ended, where, and when."""

    planned: PlannedStage
    path: str
    """Iteration path."""
    end: StageEnd
    failure: Failure | None
    started_ms: int
    duration_ms: int


class Moment(Struct, frozen=True, kw_only=True):
    """When something happened, among the records and on the clock."""

    sequence: int
    at_ms: int


class Outcome(Struct, frozen=True, kw_only=True):
    """What a request came to."""

    status: Status
    outputs: Fields | None = None
    error: ErrorInfo | None = None


class RunRecords(Struct, frozen=True, kw_only=True):
    """Makes the records of one request; what they share is stated once."""

    pipeline: Pipeline
    request: Request
    replay: int
    source: Source

    def of_stage(self, ended: Ended, sequence: int) -> StageResult:
        """Return the record of a stage, whichever way it ended."""
        planned, end, failure = ended.planned, ended.end, ended.failure
        return StageResult(
            request_id=self.request.request_id,
            pipeline=self.pipeline.name,
            pipeline_version=self.pipeline.version,
            stage=planned.name,
            status="OK" if failure is None else failure.status,
            sequence=sequence,
            session_id=self.request.session_id,
            replay=self.replay,
            outputs=end.outputs if failure is None else None,
            error=None if failure is None else failure.info,
            usage=end.usage,
            started_ms=ended.started_ms,
            duration_ms=ended.duration_ms,
            attempts=end.attempts,
            version=planned.stage.version,
            source=self.source,
            path=ended.path,
        )

    def started(
        self, planned: PlannedStage, path: str, attempt: int, moment: Moment
    ) -> StageResult:
        """Return the record of a beginning, under the *attempt*-th worker."""
        record = self._of(planned.name, path, moment)
        version = planned.stage.version
        return replace(record, event="started", attempts=attempt, version=version)

    def skipped(
        self, planned: PlannedStage, path: str, error: ErrorInfo, moment: Moment
    ) -> StageResult:
        """Return the record of a stage that is not run, for an *error* elsewhere."""
        record = self._of(planned.name, path, moment)
        version = planned.stage.version
        return replace(
            record, event="skipped", status="ERROR", error=error, version=version
        )

    def percent(self, path: str, percent: int, moment: Moment) -> StageResult:
        """Return the record of how far a map or loop is."""
        return replace(self._of(path, path, moment), event="percent", percent=percent)

    def terminal(
        self,
        outcome: Outcome,
        *,
        turn: int | None,
        usage: Usage,
        timings: Timings,
        sequence: int,
    ) -> Result:
        """Return the one result of the request."""
        return Result(
            request_id=self.request.request_id,
            pipeline=self.pipeline.name,
            pipeline_version=self.pipeline.version,
            status=outcome.status,
            session_id=self.request.session_id,
            turn=turn,
            replay=self.replay,
            outputs=outcome.outputs,
            error=outcome.error,
            usage=usage,
            timings=timings,
            versions=self.pipeline.versions,
            source=self.source,
            sequence=sequence,
        )

    def _of(self, stage: str, path: str, moment: Moment) -> StageResult:
        """Return the record of what took no time."""
        return StageResult(
            request_id=self.request.request_id,
            pipeline=self.pipeline.name,
            pipeline_version=self.pipeline.version,
            stage=stage,
            status="OK",
            sequence=moment.sequence,
            session_id=self.request.session_id,
            replay=self.replay,
            started_ms=moment.at_ms,
            attempts=0,
            source=self.source,
            path=path,
        )
