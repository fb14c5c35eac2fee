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
from streams.stage import Stage
from streams.stage_spec import StageKind, StageSpec, Workshop
from streams.stages.transform import (
    TRANSFORM_KEYS,
    build_transform,
    describe_transform,
    read_transform,
)
from streams.user_code import UserCode

# ruff: noqa: PLC0415 - the late imports are this file's purpose


def _predict(spec: StageSpec, shop: Workshop) -> Stage:
    from streams.stages.predict import build_predict

    return build_predict(spec, shop)


def _reason(spec: StageSpec, shop: Workshop) -> Stage:
    from streams.stages.reason import build_reason

    return build_reason(spec, shop)


def _reason_leaves(spec: StageSpec) -> tuple[Field, ...]:
    from streams.stages.reason import reason_outputs

    return reason_outputs(spec)


STAGE_KINDS: Final[Mapping[str, StageKind]] = {
    "predict": StageKind(build=_predict, asks_lm=True),
    "reason": StageKind(build=_reason, asks_lm=True, leaves=_reason_leaves),
    "transform": StageKind(
        build=build_transform,
        describe=describe_transform,
        keys=TRANSFORM_KEYS,
        read=read_transform,
    ),
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
