"""The catalog: every stage kind and every LM that a pipeline file may name.

Two tables, and the only door to ``stages/`` and ``lms/``. The kinds that ask an LM are
imported when the first pipeline needs one: DSPy costs a second and fifty megabytes,
and a pipeline of transforms alone should pay neither.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from streams.clock import Clock
from streams.config import Settings
from streams.lms.opening import open_lm
from streams.lms.providers import PROVIDERS, Provider
from streams.metrics import Recorder
from streams.pipeline import Toolbox
from streams.signatures.types import Field
from streams.stage import LM, Stage
from streams.stage_spec import AsksLM, RunsCode, StageKind, StageSpec
from streams.stages.transform import build_transform, describe_transform
from streams.user_code import UserCode

# ruff: noqa: PLC0415 - the late imports are this file's purpose


def _predict(spec: StageSpec, lm: LM) -> Stage:
    from streams.stages.predict import build_predict

    return build_predict(spec, lm)


def _predict_leaves(spec: StageSpec) -> tuple[Field, ...]:
    return spec.outputs


def _reason(spec: StageSpec, lm: LM) -> Stage:
    from streams.stages.reason import build_reason

    return build_reason(spec, lm)


def _reason_leaves(spec: StageSpec) -> tuple[Field, ...]:
    from streams.stages.reason import reason_outputs

    return reason_outputs(spec)


STAGE_KINDS: Final[Mapping[str, StageKind]] = {
    "predict": AsksLM(build=_predict, leaves=_predict_leaves),
    "reason": AsksLM(build=_reason, leaves=_reason_leaves),
    "transform": RunsCode(build=build_transform, describe=describe_transform),
}

LMS: Final[Mapping[str, Provider]] = PROVIDERS
"""By the beginning of a model's name; beside them, ``local/demo`` is built in."""


def toolbox(
    settings: Settings, env: Mapping[str, str], recorder: Recorder, clock: Clock
) -> Toolbox:
    """Return what ``compile_folder`` needs; *env* is where keys of LMs are."""
    return Toolbox(
        kinds=STAGE_KINDS,
        open_lm=partial(open_lm, env=env, recorder=recorder, clock=clock),
        code=UserCode.of(settings),
    )
