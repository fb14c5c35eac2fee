"""``react``: the LM thinks, calls a tool, reads what came of it, and begins again.

It is ``dspy.ReAct`` in every word: its prompts, its trajectory, its last step, which
makes the outputs of what was found. LM calls and tool calls are journaled one by one.
"""

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, Final

import dspy

from streams.errors import ConfigError
from streams.language.adapter_choice import adapter_of
from streams.language.stage_spec import StageSpec, Workshop
from streams.language.tools import FINISH, TOOL_CALLS, Tool, ToolUse, unknown_tools
from streams.programs import REASONING, Inputs, dspy_adapter
from streams.signatures.to_dspy import dspy_signature
from streams.signatures.types import Field
from streams.stage import Fields, RunContext, Stage
from streams.stages.adapter import serving_adapter
from streams.stages.asking import ModuleStage, Ready
from streams.stages.compiled import Load, nothing_saved
from streams.stages.prompt import section_of
from streams.stages.tool_calls import (
    BoundTool,
    Finish,
    Log,
    shown_tool,
    shown_value,
)
from streams.stages.tried import tried
from streams.versions import version_of

_TAKEN: Final = frozenset(
    {
        "max_iters",
        "next_thought",
        "next_tool_args",
        "next_tool_name",
        "trajectory",
        REASONING.name,
        TOOL_CALLS.name,
    }
)
"""Names that the loop needs for itself."""


def build_react(spec: StageSpec, shop: Workshop, load: Load = nothing_saved) -> Stage:
    """Return the stage: ``dspy.ReAct`` on the signature of *spec*.

    Its outputs are those of :func:`react_outputs`.

    Raises:
        ConfigError: DSPy cannot have such a signature, or a tool does not exist.
    """
    program = ReactProgram(spec, shop)
    saved = load(program.module)
    version = program.version()
    if saved:
        version = version_of("program", version, saved)
    stage = program.stage(version)
    leaves = react_outputs(spec)
    return tried(spec, shop, leaves, stage, lambda: (stage, program.module))


def react_outputs(spec: StageSpec) -> tuple[Field, ...]:
    """Return the output fields of the stage: ``reasoning``, its own, ``tool_calls``."""
    return (REASONING, *spec.outputs, TOOL_CALLS)


class ServedReAct(dspy.ReAct):  # type: ignore[misc] # DSPy has no types
    """Shows its trajectory as DSPy does, without building a signature for it each time.

    That took half of a turn, and grew with the trajectory.
    """

    section: Callable[[str, str], str]
    """How its adapter sets a field off."""

    def _format_trajectory(self, trajectory: Mapping[str, Any]) -> str:
        items = trajectory.items()
        shown = (self.section(name, shown_value(value)) for name, value in items)
        return "\n\n".join(shown).strip()


class ReactProgram:
    """A ``dspy.ReAct``, its tools, and the LM that it asks."""

    def __init__(self, spec: StageSpec, shop: Workshop) -> None:
        use: ToolUse = spec.options["tool_use"]
        self._tools = _found(use, shop)
        _check_names(spec)
        self._spec = spec
        self._use = use
        self._layout = adapter_of(spec.options)
        self._lm = shop.asked
        self._shown = {tool.name: shown_tool(tool) for tool in self._tools}
        self.module = ServedReAct(
            dspy_signature(spec.inputs, spec.outputs, spec.instructions),
            tools=list(self._shown.values()),
            max_iters=use.max_calls,
        )
        self.module.section = section_of(dspy_adapter(self._layout))
        self._outputs = tuple(field.name for field in (REASONING, *spec.outputs))

    def version(self) -> str:
        """Return ``react@`` and digits that change when other answers may follow."""
        prompts = [
            [p.signature.instructions, p.signature.dump_state(), list(p.demos)]
            for p in self.module.predictors()
        ]
        return version_of(
            "react",
            prompts,
            [[tool.name, tool.fingerprint] for tool in self._tools],
            self._use.max_calls,
            self._layout,
            self._lm.fingerprint,
        )

    def stage(self, version: str) -> ModuleStage:
        """Return the stage that asks it."""
        return ModuleStage(
            self._spec.name,
            version,
            lm=self._lm,
            inputs=Inputs(self._spec),
            ready=self._ready,
            adapter=serving_adapter(self.module, self._layout),
        )

    def _ready(self, run: RunContext) -> Ready:
        # A copy that shares its predictors: the tools know the run that calls them.
        log, module = Log(), copy(self.module)
        bound: dict[str, Any] = {FINISH: Finish(self.module.tools[FINISH])}
        for tool in self._tools:
            limit_s = min(tool.timeout_s, self._use.timeout_s or tool.timeout_s)
            shown = self._shown[tool.name]
            bound[tool.name] = BoundTool(tool, shown, run.calls, limit_s, log)
        module.tools = bound
        return Ready(module=module, outputs=partial(self._read, log))

    def _read(self, log: Log, prediction: dspy.Prediction) -> Fields:
        outputs = {name: prediction[name] for name in self._outputs}
        return {**outputs, TOOL_CALLS.name: log.calls}


def _found(use: ToolUse, shop: Workshop) -> tuple[Tool, ...]:
    problems = unknown_tools(use, shop.tools)
    if problems:
        raise ConfigError(problems)
    return tuple(shop.tools[name] for name in use.tools)


def _check_names(spec: StageSpec) -> None:
    names = (field.name for field in (*spec.inputs, *spec.outputs))
    taken = [name for name in names if name in _TAKEN]
    if taken:
        raise ConfigError(
            [f"{n} is a name that react uses itself; rename the field" for n in taken]
        )
