"""The catalog: every stage kind and every LM that a pipeline file may name.

Two tables, and the only door to ``stages/`` and ``lms/``. The kinds that ask an LM are
imported when the first pipeline needs one: DSPy costs a second and fifty megabytes,
and a pipeline of transforms alone should pay neither.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from streams.clock import Clock
from streams.config import Settings
from streams.language.adapter_choice import ADAPTER_KEYS, read_adapter
from streams.language.program_file import PROGRAM_KEYS, read_program
from streams.language.section import Section
from streams.language.stage_spec import StageKind, StageSpec, Workshop
from streams.language.tools import USE_KEYS, read_tool_use
from streams.language.trials import TRIAL_KEYS, read_trials
from streams.language.web import Web
from streams.lms.opening import open_lm, option_problems
from streams.lms.options import Options
from streams.lms.providers import PROVIDERS, Provider
from streams.metrics import Recorder
from streams.pipeline import Toolbox
from streams.signatures.types import Field
from streams.stage import Stage
from streams.stages.metric import METRIC_KEYS, build_metric, read_metric
from streams.stages.transform import (
    TRANSFORM_KEYS,
    build_transform,
    describe_transform,
    read_transform,
)
from streams.stages.validate import (
    VALIDATE_KEYS,
    build_validate,
    read_validate,
    unread_rules,
)
from streams.user_code import UserCode

# ruff: noqa: PLC0415 - the late imports are this file's purpose

ASKING_KEYS: Final = (*ADAPTER_KEYS, *TRIAL_KEYS)
"""Keys of every kind that asks an LM."""


def _read_asking(section: Section) -> Mapping[str, Any]:
    return {**read_adapter(section), **read_trials(section)}


def _predict(spec: StageSpec, shop: Workshop) -> Stage:
    from streams.stages.predict import build_predict

    return build_predict(spec, shop)


def _reason(spec: StageSpec, shop: Workshop) -> Stage:
    from streams.stages.reason import build_reason

    return build_reason(spec, shop)


def _reason_leaves(spec: StageSpec) -> tuple[Field, ...]:
    from streams.stages.reason import reason_outputs

    return reason_outputs(spec)


def _react(spec: StageSpec, shop: Workshop) -> Stage:
    from streams.stages.react import build_react

    return build_react(spec, shop)


def _react_leaves(spec: StageSpec) -> tuple[Field, ...]:
    from streams.stages.react import react_outputs

    return react_outputs(spec)


def _read_react(section: Section) -> Mapping[str, Any]:
    return {**_read_asking(section), "tool_use": read_tool_use(section)}


def _program(spec: StageSpec, shop: Workshop) -> Stage:
    from streams.stages.program import build_program

    return build_program(spec, shop)


def _program_leaves(spec: StageSpec) -> tuple[Field, ...]:
    from streams.stages.program import program_outputs

    return program_outputs(spec)


def _read_program(section: Section) -> Mapping[str, Any]:
    return {**_read_react(section), **read_program(section)}


def _template(spec: StageSpec, shop: Workshop) -> Stage:
    from streams.stages.template import build_template

    return build_template(spec, shop)


def _read_template(section: Section) -> Mapping[str, Any]:
    from streams.stages.template import read_template

    return read_template(section)


def _http(spec: StageSpec, shop: Workshop) -> Stage:
    from streams.stages.http import build_http

    return build_http(spec, shop)


def _http_alone(spec: StageSpec, shop: Workshop) -> list[str]:
    from streams.stages.http import unasked

    return unasked(spec, shop)


def _read_http(section: Section) -> Mapping[str, Any]:
    from streams.stages.http import read_http

    return read_http(section)


STAGE_KINDS: Final[Mapping[str, StageKind]] = {
    "predict": StageKind(
        build=_predict, asks_lm=True, keys=ASKING_KEYS, read=_read_asking
    ),
    "reason": StageKind(
        build=_reason,
        asks_lm=True,
        leaves=_reason_leaves,
        keys=ASKING_KEYS,
        read=_read_asking,
    ),
    "react": StageKind(
        build=_react,
        asks_lm=True,
        leaves=_react_leaves,
        keys=(*USE_KEYS, *ASKING_KEYS),
        read=_read_react,
    ),
    "program": StageKind(
        build=_program,
        asks_lm=True,
        leaves=_program_leaves,
        keys=(*PROGRAM_KEYS, *USE_KEYS, *ASKING_KEYS),
        read=_read_program,
    ),
    "transform": StageKind(
        build=build_transform,
        describe=describe_transform,
        keys=TRANSFORM_KEYS,
        read=read_transform,
    ),
    # Late too: Jinja and aiohttp take a quarter of a second each.
    "template": StageKind(build=_template, keys=("text",), read=_read_template),
    "http": StageKind(
        build=_http,
        keys=("url", "method", "headers", "body", "at"),
        read=_read_http,
        alone=_http_alone,
    ),
    "validate": StageKind(
        build=build_validate,
        keys=VALIDATE_KEYS,
        read=read_validate,
        alone=unread_rules,
    ),
    "metric": StageKind(build=build_metric, keys=METRIC_KEYS, read=read_metric),
}

LM_OPTIONS: Final = tuple(Options.__dataclass_fields__)
"""Keys of an entry under ``lms:``."""

LMS: Final[Mapping[str, Provider]] = PROVIDERS
"""By the beginning of a model's name; beside them, ``local/demo`` is built in."""


def toolbox(
    settings: Settings, env: Mapping[str, str], recorder: Recorder, clock: Clock
) -> Toolbox:
    """Return what ``compile_folder`` needs; *env* is where keys of LMs are."""
    return Toolbox(
        kinds=STAGE_KINDS,
        open_lm=partial(open_lm, env=env, recorder=recorder, clock=clock),
        check_lm=option_problems,
        code=UserCode.of(settings),
        web=Web.of(settings, env),
        folder=settings.pipelines_dir,
    )
