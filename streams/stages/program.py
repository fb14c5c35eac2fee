"""``program``: a DSPy program as it was saved after an optimisation, or the user's own.

A state belongs to a signature: one of other fields is refused, field by field.
"""

from functools import partial

import dspy

from streams.language.program_file import ProgramUse
from streams.language.stage_spec import StageSpec, Workshop
from streams.programs import outputs_of
from streams.signatures.types import Field
from streams.stage import Stage
from streams.stages.compiled import Load, build, nothing_saved
from streams.stages.react import build_react, react_outputs
from streams.stages.saved import load_state
from streams.stages.tried import tried
from streams.stages.user_program import user_stage


def build_program(spec: StageSpec, shop: Workshop) -> Stage:
    """Return the stage; its outputs are those of :func:`program_outputs`.

    Raises:
        ConfigError: the state is of another program, or the class cannot be asked.
    """
    use: ProgramUse = spec.options["program"]
    load = _load(shop, use)
    if use.target is not None:
        stage, module = user_stage(spec, shop, use, use.target, load)
        return tried(spec, shop, spec.outputs, stage, lambda: (stage, module))
    if use.module == "react":
        return build_react(spec, shop, load)
    return build(use.module, spec, shop, load)


def program_outputs(spec: StageSpec) -> tuple[Field, ...]:
    """Return the output fields of the stage: those of its module."""
    use: ProgramUse = spec.options["program"]
    if use.target is not None:
        return spec.outputs
    if use.module == "react":
        return react_outputs(spec)
    return outputs_of(use.module, spec)


def _load(shop: Workshop, use: ProgramUse) -> Load:
    if use.state is None:
        return nothing_saved
    return partial(_loaded, shop, use.state)


def _loaded(shop: Workshop, path: str, module: dspy.Module) -> str:
    return load_state(module, shop.folder, path)
