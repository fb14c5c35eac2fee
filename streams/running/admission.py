"""May this request run? The checks before its first stage, in their order."""

from typing import Any

from schemas.records import Request
from streams.errors import (
    DeadlineError,
    InputsError,
    ModeUnsupportedError,
    PipelineMismatchError,
    VersionUnknownError,
)
from streams.metrics import Recorder
from streams.plan import Pipeline


def admit(
    pipeline: Pipeline, request: Request, recorder: Recorder, *, now_ms: int
) -> dict[str, Any]:
    """Return the clean inputs of *request*: checked, converted, defaults filled in.

    Raises:
        RequestError: it asks for something that *pipeline* cannot do.
        DeadlineError: its time was over before it began.
    """
    if request.pipeline != pipeline.name:
        raise PipelineMismatchError(request.pipeline, pipeline.name)
    version = request.pipeline_version
    if version is not None and version != pipeline.version:
        raise VersionUnknownError(pipeline.name, version, pipeline.version)
    if request.mode != "NORMAL":
        # Running it for real instead would be the one wrong answer.
        raise ModeUnsupportedError(request.mode)
    deadline_ms = request.deadline_ms
    if deadline_ms is not None and deadline_ms <= now_ms:
        raise DeadlineError(None, now_ms - deadline_ms)
    inputs, problems = pipeline.validator(request.inputs)
    if problems:
        raise InputsError(problems)
    unknown = pipeline.validator.unknown(request.inputs)
    if unknown:
        name = pipeline.name
        recorder.count("penstock_inputs_ignored_total", unknown, pipeline=name)
    return inputs
