"""A DSPy module of the user's: found by name, asked without holding up the loop."""

import inspect
from collections.abc import Callable
from types import MethodType

import dspy

from streams.errors import ConfigError, StageOutputError
from streams.language.adapter_choice import adapter_of
from streams.language.program_file import ProgramUse
from streams.language.stage_spec import StageSpec, Workshop
from streams.programs import Inputs
from streams.signatures.from_function import call_problem
from streams.signatures.to_dspy import dspy_signature
from streams.stage import Fields
from streams.stages.adapter import serving_adapter
from streams.stages.asking import ModuleStage, OnThreads, Ready, Way, on_loop
from streams.stages.compiled import Load
from streams.user_call import source_fingerprint
from streams.versions import version_of


def user_stage(
    spec: StageSpec, shop: Workshop, use: ProgramUse, target: str, load: Load
) -> tuple[ModuleStage, dspy.Module]:
    """Return the stage that asks the class at *target*, and the module itself.

    Raises:
        ConfigError: it is not there, takes other inputs, or would block the loop.
    """
    found = shop.code.find(target)
    module = _made(target, found)
    problems = [*_cannot_run(target, module, use), *_call_problems(spec, module)]
    # Fields that DSPy cannot have, it would not find in a module either.
    dspy_signature(spec.inputs, spec.outputs, spec.instructions)
    problems += [
        f"{target}: predictor {name} brings an LM of its own; the stage's answers"
        for name, predictor in module.named_predictors()
        if predictor.lm is not None
    ]
    if problems:
        raise ConfigError(problems)
    saved, layout = load(module), adapter_of(spec.options)
    version = version_of(
        "program",
        [target, source_fingerprint(found), saved],
        [[name, p.dump_state()] for name, p in module.named_predictors()],
        [[f.name, str(f.type)] for f in (*spec.inputs, *spec.outputs)],
        layout,
        shop.asked.fingerprint,
    )
    ready = Ready(module=module, outputs=_outputs_of(spec))
    stage = ModuleStage(
        spec.name,
        version,
        lm=shop.asked,
        inputs=Inputs(spec),
        ready=lambda _run: ready,
        adapter=serving_adapter(module, layout),
        way=_way(spec, shop, use),
    )
    return stage, module


def _made(target: str, found: Callable[..., object]) -> dspy.Module:
    if not (inspect.isclass(found) and issubclass(found, dspy.Module)):
        raise ConfigError([f"{target} is no dspy.Module"])
    try:
        return found()
    except Exception as error:
        # The user's own code ran, and may have raised anything.
        reason = f"{target}() fails: {type(error).__name__}: {error}"
        raise ConfigError([reason]) from error


def _cannot_run(target: str, module: dspy.Module, use: ProgramUse) -> list[str]:
    if hasattr(module, "aforward"):
        if use.threads is not None:
            return [f"{target} has aforward, and runs on the loop: take `threads` out"]
        return []
    if _forward_of(module) is None:
        return [f"{target} has neither aforward nor forward"]
    if use.threads is None:
        cure = "give it `async def aforward`, or declare `threads: 4`"
        return [f"{target} has only forward, which would hold up all requests: {cure}"]
    return []


def _forward_of(module: dspy.Module) -> Callable[..., object] | None:
    """Return the method; looked up on the module, DSPy would warn of calling it."""
    found: Callable[..., object] | None = inspect.getattr_static(
        module, "forward", None
    )
    return MethodType(found, module) if inspect.isfunction(found) else found


def _call_problems(spec: StageSpec, module: dspy.Module) -> list[str]:
    called = getattr(module, "aforward", None) or _forward_of(module)
    if called is None:
        return []
    problem = call_problem(called, (field.name for field in spec.inputs))
    return [] if problem is None else [problem]


def _way(spec: StageSpec, shop: Workshop, use: ProgramUse) -> Way:
    if use.threads is None:
        return on_loop
    return OnThreads(shop.code.own_lane(use.threads, spec.name))


def _outputs_of(spec: StageSpec) -> Callable[[dspy.Prediction], Fields]:
    names = [field.name for field in spec.outputs]

    def outputs(prediction: dspy.Prediction) -> Fields:
        if not hasattr(prediction, "keys"):
            got = type(prediction).__name__
            raise StageOutputError(spec.name, f"returned {got}, not a Prediction")
        made = set(prediction.keys())
        return {name: prediction[name] for name in names if name in made}

    return outputs
