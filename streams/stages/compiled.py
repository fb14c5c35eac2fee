"""Stages that ask an LM: compiled from their DSPy program, or through it.

:class:`CompiledStage` renders and reads by itself and is several times cheaper. It is
used only where probes at build time show that DSPy would have sent the same messages
and read the same outputs; otherwise :class:`ProgramStage` asks the program itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import dspy
from dspy.utils.exceptions import AdapterParseError
from pydantic import ValidationError

from streams.errors import StageInputError, StageOutputError
from streams.json_form import json_value
from streams.lms.dspy_engine import CallsEngine, bound_lm
from streams.programs import Kind, Program, outputs_of
from streams.stage import LM, Fields, LMCall, RunContext, Stage, StageOutcome
from streams.stage_spec import StageSpec
from streams.stages.probes import Probe, probes_of
from streams.stages.prompt import Prompt
from streams.stages.reading import Reader, UnusableAnswerError

EMPTY: Final = "the answer is empty"
UNPARSED: Final = "the answer does not fit the signature"
BAD_HISTORY: Final = "a turn of the history cannot be shown"


def build(kind: Kind, spec: StageSpec, lm: LM) -> Stage:
    """Return the stage of *spec* that asks *lm*: compiled if that can be proved.

    Raises:
        ConfigError: DSPy cannot have such a signature; with every problem.
    """
    program = Program(kind, spec, lm)
    probes = probes_of(spec, outputs_of(kind, spec))
    version = program.version(probes[0].inputs)
    signature = program.signature
    prompt = Prompt(program.adapter, signature, program.predictor.demos)
    reader = Reader(signature)
    if agrees(program, prompt, reader, probes):
        return CompiledStage(program, version, prompt, reader)
    return ProgramStage(program, version)


def agrees(
    program: Program, prompt: Prompt, reader: Reader, probes: Sequence[Probe]
) -> bool:
    """Say whether *prompt* and *reader* do as DSPy does, for all *probes*."""
    adapter, signature = program.adapter, program.signature
    for probe in probes:
        asked = program.messages(probe.inputs, probe.history)
        if list(prompt.messages(probe.inputs, probe.history)) != asked:
            return False
        said = adapter.format_assistant_message_content(signature, probe.outputs)
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
        self._program.check(fields)
        fields = json_value(fields)
        try:
            messages = self._prompt.messages(fields, run.history)
        except ValidationError as error:
            raise StageInputError(self.name, BAD_HISTORY) from error
        call = LMCall(messages=messages, request_id=f"{run.request_id}/{self.name}")
        answer = await run.calls.ask(self._program.lm, call)
        if not answer.text:
            raise StageOutputError(self.name, EMPTY)
        try:
            outputs = self._reader.read(answer.text)
        except UnusableAnswerError as error:
            raise StageOutputError(self.name, str(error)) from error
        return StageOutcome(outputs=outputs, usage=answer.usage)


class ProgramStage:
    """A program asked through ``acall``: dearer, and always DSPy's own word."""

    def __init__(self, program: Program, version: str) -> None:
        self._program = program
        self._version = version

    @property
    def name(self) -> str:
        return self._program.name

    @property
    def version(self) -> str:
        return self._version

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        """Ask once; errors as in :class:`CompiledStage`."""
        program = self._program
        program.check(fields)
        fields = json_value(fields)
        call_id = f"{run.request_id}/{self.name}"
        engine = CallsEngine(program.lm, run.calls, call_id)
        try:
            prediction = await self._ask(engine, program.given(fields, run.history))
        except AdapterParseError as error:
            # Its own message quotes the whole answer.
            raise StageOutputError(self.name, UNPARSED) from error
        except dspy.DSPyError:
            if engine.failure is None:
                raise
            raise engine.failure from None
        outputs = {name: prediction[name] for name in program.signature.output_fields}
        return StageOutcome(outputs=outputs, usage=engine.usage)

    async def _ask(
        self, engine: CallsEngine, inputs: Mapping[str, Any]
    ) -> dspy.Prediction:
        # dspy.context, never dspy.configure: requests share one process, and a
        # global LM set for one would answer for all. Left in the coroutine that
        # entered it, so nothing leaks into whoever awaits us.
        with dspy.context(
            lm=bound_lm(engine, self._program.lm.name),
            adapter=self._program.adapter,
            trace=None,
            callbacks=[],
            disable_history=True,
            warn_on_type_mismatch=False,
        ):
            return await self._program.predictor.acall(**inputs)
