"""Stages that ask an LM: compiled from their DSPy program, or through it.

:class:`CompiledStage` renders and reads by itself and is several times cheaper. It is
used only where probes at build time show that DSPy would have sent the same messages
and read the same outputs; otherwise a :class:`~streams.stages.asking.ModuleStage` asks
the program itself.
"""

from collections.abc import Callable, Sequence
from typing import Final

import dspy
from dspy.utils.exceptions import AdapterParseError
from pydantic import ValidationError

from streams.errors import StageInputError, StageOutputError
from streams.json_form import json_value
from streams.language.stage_spec import StageSpec, Workshop
from streams.lms.dspy_engine import params_for
from streams.programs import Kind, Program, outputs_of
from streams.stage import Fields, LMCall, RunContext, Stage, StageOutcome
from streams.stages.adapter import READERS, reads_alike, serving_adapter
from streams.stages.asking import BAD_HISTORY, ModuleStage, Ready
from streams.stages.probes import Probe, probes_of
from streams.stages.prompt import Prompt
from streams.stages.reading import Reader, UnusableAnswerError
from streams.stages.tried import tried
from streams.versions import version_of

Load = Callable[[dspy.Module], str]
"""Puts what was saved into a new module; returns a digest of it, or nothing."""

EMPTY: Final = "the answer is empty"


def nothing_saved(_module: dspy.Module) -> str:
    """Leave a module as it is."""
    return ""


def build(
    kind: Kind, spec: StageSpec, shop: Workshop, load: Load = nothing_saved
) -> Stage:
    """Return the stage of *spec*: compiled if that can be proved.

    Raises:
        ConfigError: DSPy cannot have such a signature; with every problem.
    """
    leaves = outputs_of(kind, spec)
    program = Program(kind, spec, shop.asked)
    saved = load(program.module)
    probes = probes_of(spec, leaves)
    version = program.version(probes[0].inputs)
    if saved:
        version = version_of("program", version, saved)

    def asked() -> tuple[ModuleStage, dspy.Module]:
        return module_stage(program, version), program.module

    return tried(spec, shop, leaves, _served(program, version, probes), asked)


def _served(program: Program, version: str, probes: Sequence[Probe]) -> Stage:
    signature = program.signature
    prompt = Prompt(program.adapter, signature, program.predictor.demos)
    if not reads_alike(signature):
        return module_stage(program, version)
    reader = READERS[program.layout](signature)
    if agrees(program, prompt, reader, probes):
        return CompiledStage(program, version, prompt, reader)
    return module_stage(program, version)


def agrees(
    program: Program, prompt: Prompt, reader: Reader, probes: Sequence[Probe]
) -> bool:
    """Say whether *prompt* and *reader* do as DSPy does, for all *probes*."""
    adapter, signature = program.adapter, program.signature
    for probe in probes:
        asked = program.messages(probe.inputs, probe.history)
        shown, turns = program.inputs.shown, program.inputs.turns(probe.history)
        if list(prompt.messages(shown(probe.inputs), turns)) != asked:
            return False
        outputs = shown(probe.outputs)
        said = adapter.format_assistant_message_content(signature, outputs)
        if not _same_reading(program, reader, said):
            return False
    return _same_reading(program, reader, "There is no field in this answer.")


def _same_reading(program: Program, reader: Reader, text: str) -> bool:
    try:
        expected = program.adapter.parse(program.signature, text)
    except AdapterParseError:
        expected = None
    try:
        read = dict(reader.read(text))
    except UnusableAnswerError:
        read = None
    return bool(expected == read)


class CompiledStage:
    """A program whose prompt and answers we write and read ourselves."""

    def __init__(
        self, program: Program, version: str, prompt: Prompt, reader: Reader
    ) -> None:
        self._program = program
        self._version = version
        self._prompt = prompt
        self._reader = reader
        self._params = params_for(program.layout)

    @property
    def name(self) -> str:
        return self._program.name

    @property
    def version(self) -> str:
        return self._version

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        """Ask once.

        Raises:
            StageInputError: the fields, or the history, cannot be shown.
            StageOutputError: the answer does not fit the signature.
            ModelError: the LM gave no answer.
        """
        inputs = self._program.inputs
        inputs.check(fields)
        fields = inputs.shown(json_value(fields))
        try:
            messages = self._prompt.messages(fields, inputs.turns(run.history))
        except ValidationError as error:
            raise StageInputError(self.name, BAD_HISTORY) from error
        call = LMCall(messages=messages, params=self._params)
        answer = await run.calls.ask(self._program.lm, call)
        if not answer.text:
            raise StageOutputError(self.name, EMPTY)
        try:
            outputs = self._reader.read(answer.text)
        except UnusableAnswerError as error:
            raise StageOutputError(self.name, str(error)) from error
        return StageOutcome(outputs=outputs, usage=answer.usage)


def module_stage(program: Program, version: str) -> ModuleStage:
    """Return the stage that asks *program* through DSPy: dearer, and its own word."""
    names = tuple(program.signature.output_fields)

    def outputs(prediction: dspy.Prediction) -> Fields:
        return {name: prediction[name] for name in names}

    ready = Ready(module=program.module, outputs=outputs)
    adapter = serving_adapter(program.module, program.layout)
    return ModuleStage(
        program.name,
        version,
        lm=program.lm,
        inputs=program.inputs,
        ready=lambda _run: ready,
        adapter=adapter,
    )
