"""The records that a run leaves: one per stage, and the terminal."""

from msgspec import Struct

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
from streams.attempts import StageEnd
from streams.errors import DeadlineError, RequestError, StreamsError
from streams.plan import Pipeline
from streams.planned import PlannedStage
from streams.stage import Fields


class RunRecords(Struct, frozen=True, kw_only=True):
    """Makes the records of one request; what they share is stated once."""

    pipeline: Pipeline
    request: Request
    replay: int
    source: Source

    def of_stage(
        self,
        planned: PlannedStage,
        end: StageEnd,
        *,
        sequence: int,
        started_ms: int,
        duration_ms: int,
    ) -> StageResult:
        """Return the record of a stage, whichever way it ended."""
        return StageResult(
            request_id=self.request.request_id,
            pipeline=self.pipeline.name,
            pipeline_version=self.pipeline.version,
            stage=planned.name,
            status=status_of(end.error),
            sequence=sequence,
            session_id=self.request.session_id,
            replay=self.replay,
            outputs=end.outputs if end.error is None else None,
            error=error_info(end.error),
            usage=end.usage,
            started_ms=started_ms,
            duration_ms=duration_ms,
            attempts=end.attempts,
            version=planned.stage.version,
            source=self.source,
        )

    def terminal(
        self,
        *,
        outputs: Fields | None,
        error: StreamsError | None,
        turn: int | None,
        usage: Usage,
        timings: Timings,
    ) -> Result:
        """Return the one result of the request."""
        return Result(
            request_id=self.request.request_id,
            pipeline=self.pipeline.name,
            pipeline_version=self.pipeline.version,
            status=status_of(error),
            session_id=self.request.session_id,
            turn=turn,
            replay=self.replay,
            outputs=outputs,
            error=error_info(error),
            usage=usage,
            timings=timings,
            versions=self.pipeline.versions,
            source=self.source,
        )


def status_of(error: StreamsError | None) -> Status:
    """Return the status of what ended with *error*."""
    if error is None:
        return "OK"
    if isinstance(error, RequestError):
        return "REJECTED"
    return "EXPIRED" if isinstance(error, DeadlineError) else "ERROR"


def error_info(error: StreamsError | None) -> ErrorInfo | None:
    """Return *error* as records carry it."""
    if error is None:
        return None
    cause = error.__cause__
    return ErrorInfo(
        code=error.code,
        message=str(error),
        stage=getattr(error, "stage", None),
        field=getattr(error, "field", None),
        retryable=error.retryable,
        cause=None if cause is None else type(cause).__name__,
    )
