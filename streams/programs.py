"""DSPy programs as stages run them: a predictor made from a spec, and its LM."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import dspy
import orjson
from msgspec.structs import replace

from streams.errors import ConfigError, StageInputError
from streams.json_form import json_form
from streams.language.adapter_choice import DEFAULT, AdapterName, adapter_of
from streams.language.stage_spec import StageSpec
from streams.session import Turn
from streams.signatures.to_dspy import dspy_signature, shown
from streams.signatures.told import holds
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.types import IMAGE, STR, Field, FieldType, HistoryType
from streams.stage import LM, Fields
from streams.versions import version_of

Kind = Literal["predict", "reason"]

REASONING: Final = Field(
    name="reasoning",
    type=STR,
    description="How the LM came to its answer, in its own words.",
)
"""The output that chain of thought puts in front of the declared ones."""

TWICE: Final = (
    "reasoning is the output that a reason stage adds by itself; "
    "take it out of the signature"
)


MARK: Final = b"<<CUSTOM-TYPE-START-IDENTIFIER>>"
MARKED: Final = "a text has DSPy's mark of an image in it"

_OBJECTS: Final[tuple[FieldType, ...]] = (IMAGE, TOOL, TOOL_CALLS)


class Inputs:
    """What a program is called with, of all that a stage is given."""

    def __init__(self, spec: StageSpec) -> None:
        self._stage = spec.name
        self._history = [f.name for f in spec.inputs if f.type == HistoryType()]
        self._names = [f.name for f in spec.inputs if f.type != HistoryType()]
        self._objects = {
            f.name: f.type
            # A history has outputs as well; no LM writes an image.
            for f in (*spec.inputs, *spec.outputs)
            if any(holds(f.type, kind) for kind in _OBJECTS)
        }
        self._sees_images = any(holds(f.type, IMAGE) for f in spec.inputs)
        self._required = {f.name for f in spec.inputs if f.required}
        self._required -= set(self._history)

    def given(self, fields: Fields, history: Sequence[Turn]) -> Mapping[str, Any]:
        """Return its inputs and nothing else.

        Raises:
            StageInputError: a text among images pretends to be one.
        """
        seen = self.shown(fields)
        inputs = {name: seen[name] for name in self._names if name in seen}
        for name in self._history:
            inputs[name] = dspy.History(
                messages=[dict(turn.fields) for turn in self.turns(history)]
            )
        return inputs

    def shown(self, fields: Fields) -> Fields:
        """Return *fields* with DSPy's objects where it has some: images, tools.

        Raises:
            StageInputError: a text among images pretends to be one.
        """
        if not self._objects:
            return fields
        kinds = self._objects.items()
        seen = {**fields, **{n: shown(k, fields[n]) for n, k in kinds if n in fields}}
        # DSPy finds images in its prompt by this mark, whoever wrote it: a user's text
        # could have an LM's server fetch whatever address it names.
        if self._sees_images and MARK in orjson.dumps(seen, default=_prompted):
            raise StageInputError(self._stage, MARKED)
        return seen

    def turns(self, history: Sequence[Turn]) -> Sequence[Turn]:
        """Return *history* with its fields as :meth:`shown` has them."""
        if not self._objects:
            return history
        return [replace(turn, fields=self.shown(turn.fields)) for turn in history]

    def check(self, fields: Fields) -> None:
        """Make sure that every required input is there.

        Raises:
            StageInputError: one is missing.
        """
        missing = self._required - fields.keys()
        if missing:
            reason = f"no value for {', '.join(sorted(missing))}"
            raise StageInputError(self._stage, reason)


def _prompted(value: object) -> object:
    """Return what is in the prompt for *value*, which JSON has no form for.

    Of tools and calls it is what their JSON says: in the text of it, the mark could be
    written in escapes.
    """
    match value:
        case dspy.Image():
            return value.url
        case dspy.Tool() | dspy.ToolCalls():
            return json.dumps(value.format(), ensure_ascii=False)
        case _:
            return json_form(value)


class Program:
    """A predictor and the LM that it asks."""

    def __init__(self, kind: Kind, spec: StageSpec, lm: LM) -> None:
        self.name = spec.name
        self.lm = lm
        self.layout = adapter_of(spec.options)
        self.adapter = dspy_adapter(self.layout)
        self.inputs = Inputs(spec)
        self.module = module_of(kind, spec)
        """As DSPy's users know it: of a ``reason`` stage, what holds the predictor."""
        ((_, predictor),) = self.module.named_predictors()
        self.predictor: dspy.Predict = predictor
        self._kind = kind

    @property
    def signature(self) -> type[dspy.Signature]:
        """The predictor's signature: instructions and descriptions as they stand."""
        signature: type[dspy.Signature] = self.predictor.signature
        return signature

    def version(self, inputs: Fields) -> str:
        """Return ``kind@`` and 12 digits that change when other answers may follow.

        They are made of the prompt for *inputs*, which must be the same every time:
        fields, types, descriptions, instructions, demos and the adapter's wording are
        all in it; and of the LM.
        """
        prompt = self.messages(inputs, ())
        return version_of(self._kind, self._kind, prompt, self.lm.fingerprint)

    def messages(self, fields: Fields, history: Sequence[Turn]) -> list[Any]:
        """Return the chat messages that DSPy itself would send."""
        asked: list[Any] = self.adapter.format(
            self.signature,
            self.predictor.demos,
            dict(self.inputs.given(fields, history)),
        )
        return asked


def module_of(kind: Kind, spec: StageSpec) -> dspy.Module:
    """Return the module that a stage of *kind* asks; it holds one predictor.

    Raises:
        ConfigError: DSPy cannot have fields of these names; with every problem.
    """
    names = {field.name for field in (*spec.inputs, *spec.outputs)}
    if kind == "reason" and REASONING.name in names:
        raise ConfigError([TWICE])
    signature = dspy_signature(spec.inputs, spec.outputs, spec.instructions)
    if kind == "predict":
        return dspy.Predict(signature)
    return dspy.ChainOfThought(signature)


def outputs_of(kind: Kind, spec: StageSpec) -> tuple[Field, ...]:
    """Return the output fields of a stage, in the order in which the LM fills them.

    A ``reason`` stage has ``reasoning`` (text) first, then those of its signature.
    """
    return spec.outputs if kind == "predict" else (REASONING, *spec.outputs)


def dspy_adapter(name: AdapterName = DEFAULT) -> dspy.ChatAdapter:
    """Return DSPy's own adapter of that name.

    Without the fallback to JSON, which asks a second time behind our back (JSON itself
    has none): another attempt is the run's decision, and its cost is counted. Without
    the tool calls of providers, too: our LMs say texts.
    """
    if name == "json":
        return dspy.JSONAdapter(use_native_function_calling=False)
    kind = dspy.XMLAdapter if name == "xml" else dspy.ChatAdapter
    return kind(use_json_adapter_fallback=False)
