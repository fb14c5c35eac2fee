"""A failure as a run goes on with it: as records say it, whoever saw it happen."""

from schemas.records import ErrorInfo, Status
from streams.errors import (
    DeadlineError,
    RequestError,
    StageBugError,
    StreamsError,
)


class Failure(Exception):  # noqa: N818 - the error is inside
    """Ends a run, or the alternative of a fallback that it happened in.

    Of a stage that failed under an earlier worker nothing but *info* is left.
    """

    def __init__(
        self, status: Status, info: ErrorInfo, bug: BaseException | None = None
    ) -> None:
        super().__init__(info.message)
        self.status = status
        self.info = info
        self.bug = bug
        """What user code raised."""

    @classmethod
    def of(cls, error: StreamsError) -> "Failure":
        """Return *error* as a failure."""
        bug = error.error if isinstance(error, StageBugError) else None
        return cls(status_of(error), error_info(error), bug)

    @property
    def is_final(self) -> bool:
        """Whether no policy can help: the request's time is over."""
        return self.status != "ERROR"


def status_of(error: StreamsError) -> Status:
    """Return the status of what ended with *error*."""
    if isinstance(error, RequestError):
        return "REJECTED"
    return "EXPIRED" if isinstance(error, DeadlineError) else "ERROR"


def error_info(error: StreamsError) -> ErrorInfo:
    """Return *error* as records carry it."""
    cause = error.__cause__
    return ErrorInfo(
        code=error.code,
        message=str(error),
        stage=getattr(error, "stage", None),
        field=getattr(error, "field", None),
        retryable=error.retryable,
        cause=None if cause is None else type(cause).__name__,
    )
