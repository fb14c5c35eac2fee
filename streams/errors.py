"""Errors of the core: each says that something failed, the run says what follows.

StreamsError
├── ConfigError                    .problems: all of them
│   └── OptionsError               each begins with the key that it is about
├── RequestError                   .field; the request is rejected, before any stage
│   ├── PipelineMismatchError · VersionUnknownError · ModeUnsupportedError
│   └── InputsError                .problems: all of them, by field
├── StageError                     .stage
│   ├── StageInputError · StageOutputError · StageBugError
│   ├── StageTimeoutError          .budget_s                          retryable
│   ├── TemplateError              .field
│   ├── RulesError                 .broken: the names of the rules
│   ├── HttpError                  .host
│   │   ├── HttpUnreachableError   refused, reset, silent             retryable
│   │   ├── HttpBusyError          .retry_after_s (429), 5xx          retryable
│   │   ├── HttpStatusError        any other status but 2xx
│   │   └── HttpAnswerError        not what was to be answered        retryable
│   └── ModelError                 .lm
│       ├── ModelUnavailableError  refused, reset, 5xx                retryable
│       ├── ModelBusyError         .retry_after_s (429)               retryable
│       └── ModelRefusedError      401, 403, 400, 404: will not change
│           └── ModelContextError  the messages are too long for it
├── ConditionError                 a condition of the flow has no value
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


class OptionsError(ConfigError):
    """Keys of one entry cannot be used; each problem begins with its key, ``by:``."""

    code = "config.options"


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
    retry_after_s: float | None = None
    """Seconds for which whoever was asked wants to be left alone."""

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


class TemplateError(StageError):
    """A template has no text for the fields that it was given."""

    code = "stage.template"

    def __init__(self, stage: str, field: str, reason: str) -> None:
        super().__init__(stage, f"{field}: {reason}")
        self.field = field


class RulesError(StageError):
    """Rules that must hold are broken."""

    code = "stage.invalid"

    def __init__(self, stage: str, broken: Sequence[str]) -> None:
        super().__init__(stage, f"broken: {'; '.join(broken)}")
        self.broken = tuple(broken)


class HttpError(StageError):
    """A server that a stage asked did not give what was wanted."""

    code = "http"

    def __init__(self, stage: str, host: str, reason: str) -> None:
        super().__init__(stage, f"{host}: {reason}")
        self.host = host


class HttpUnreachableError(HttpError):
    """No answer came."""

    code = "http.unreachable"
    retryable = True


class HttpBusyError(HttpError):
    """The server cannot answer now: 429, 5xx and their like."""

    code = "http.busy"
    retryable = True

    def __init__(
        self, stage: str, host: str, status: int, retry_after_s: float | None
    ) -> None:
        super().__init__(stage, host, f"status {status}")
        self.retry_after_s = retry_after_s


class HttpStatusError(HttpError):
    """The server will not answer this request however often we ask."""

    code = "http.status"

    def __init__(self, stage: str, host: str, status: int) -> None:
        super().__init__(stage, host, f"status {status}")
        self.status = status


class HttpAnswerError(HttpError):
    """The answer is not what was to be answered; asking again may help."""

    code = "http.answer"
    retryable = True


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


class ModelContextError(ModelRefusedError):
    """The messages are longer than the LM can read."""

    code = "model.context"


class ConditionError(StreamsError):
    """A condition of the flow is neither true nor false of these values."""

    code = "flow.condition"

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"condition {text!r}: {reason}")
        self.text = text


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
