"""Errors of the core: each says that something failed, the run says what follows.

StreamsError
├── ConfigError                    .problems: all of them
├── RequestError                   .field; the request is rejected, before any stage
│   ├── PipelineMismatchError · VersionUnknownError · ModeUnsupportedError
│   └── InputsError                .problems: all of them, by field
├── StageError                     .stage
│   ├── StageInputError · StageOutputError · StageBugError
│   ├── StageTimeoutError          .budget_s                          retryable
│   └── ModelError                 .lm
│       ├── ModelUnavailableError  refused, reset, 5xx                retryable
│       ├── ModelBusyError         .retry_after_s (429)               retryable
│       └── ModelRefusedError      401, 403, 400, 404: will not change
├── DeadlineError                  the request's time is over
└── StateError                     a stored session or journal entry cannot be used
    └── StateNewerError            a newer version stored it: stop
"""

from collections.abc import Sequence
from typing import ClassVar


class StreamsError(Exception):
    """The core failed."""

    code: ClassVar[str] = "streams"
    retryable: ClassVar[bool] = False


class ConfigError(StreamsError):
    """Settings or a pipeline file cannot be used; *problems* names all of them."""

    code = "config"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class RequestError(StreamsError):
    """The request asks for something that we cannot do."""

    code = "request"
    field: str | None = None
    """The field to blame; the first one if there are several."""


class PipelineMismatchError(RequestError):
    """The request names another pipeline than its topic's."""

    code = "request.pipeline"
    field = "pipeline"

    def __init__(self, asked: str, here: str) -> None:
        super().__init__(f"pipeline {asked!r} was asked for, this topic is {here}'s")


class VersionUnknownError(RequestError):
    """The request wants a version of the pipeline that does not run."""

    code = "request.version"
    field = "pipeline_version"

    def __init__(self, pipeline: str, asked: int, here: int) -> None:
        super().__init__(f"{pipeline} runs version {here}, {asked} was asked for")


class ModeUnsupportedError(RequestError):
    """The request wants to be run in a way that this version does not know."""

    code = "request.mode"
    field = "mode"

    def __init__(self, asked: str) -> None:
        super().__init__(f"mode {asked!r} is not supported yet, only NORMAL is")


class InputsError(RequestError):
    """Inputs are missing or mistyped; the message names every one of them."""

    code = "request.inputs"

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {why}" for name, why in problems))
        self.problems = tuple(problems)
        self.field = problems[0][0]


class StageError(StreamsError):
    """A stage did not do its work."""

    code = "stage"

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage


class StageInputError(StageError):
    """A stage was given fields that do not fit its signature."""

    code = "stage.input"


class StageOutputError(StageError):
    """The answer of a stage does not fit its signature; asking again may help."""

    code = "stage.output"
    retryable = True


class StageBugError(StageError):
    """Code of a stage raised something that is not ours."""

    code = "stage.bug"

    def __init__(self, stage: str, error: BaseException) -> None:
        super().__init__(stage, f"{type(error).__name__}: {error}")
        self.error = error


class StageTimeoutError(StageError):
    """The stage used up its budget."""

    code = "stage.timeout"
    retryable = True

    def __init__(self, stage: str, budget_s: float) -> None:
        super().__init__(stage, f"no answer within {budget_s:g} s")
        self.budget_s = budget_s


class ModelError(StageError):
    """An LM did not answer."""

    code = "model"

    def __init__(self, stage: str, lm: str, reason: str) -> None:
        super().__init__(stage, f"LM {lm}: {reason}")
        self.lm = lm


class ModelUnavailableError(ModelError):
    """The LM cannot be reached, or fails on its side. An outage, not an answer."""

    code = "model.unavailable"
    retryable = True


class ModelBusyError(ModelError):
    """The LM asks us to come back later (429)."""

    code = "model.busy"
    retryable = True

    def __init__(
        self, stage: str, lm: str, reason: str, retry_after_s: float | None
    ) -> None:
        super().__init__(stage, lm, reason)
        self.retry_after_s = retry_after_s


class ModelRefusedError(ModelError):
    """The LM will not answer this call however often we ask."""

    code = "model.refused"


class DeadlineError(StreamsError):
    """The request's deadline passed before its answer was there."""

    code = "request.deadline"

    def __init__(self, stage: str | None, late_ms: int) -> None:
        where = f"before stage {stage}" if stage else "before its run"
        super().__init__(f"deadline passed {where}, {late_ms} ms ago")
        self.stage = stage


class StateError(StreamsError):
    """Something that we stored cannot be used."""

    code = "state"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what = what


class StateNewerError(StateError):
    """A newer version of penstock stored this; an older one must not go on."""

    code = "state.newer"

    def __init__(self, what: str, found: bytes) -> None:
        super().__init__(what, f"stored in format {found!r}: run the newer version")
