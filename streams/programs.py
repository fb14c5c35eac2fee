"""DSPy programs as stages run them: a predictor made from a spec, and its LM."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Literal

import dspy
import orjson

from streams.errors import ConfigError, StageInputError
from streams.session import Turn
from streams.signatures.to_dspy import dspy_signature
from streams.signatures.types import STR, Field, HistoryType
from streams.stage import LM, Fields
from streams.stage_spec import StageSpec

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


class Program:
    """A predictor and the LM that it asks."""

    def __init__(self, kind: Kind, spec: StageSpec, lm: LM) -> None:
        self.name = spec.name
        self.lm = lm
        self.adapter = chat_adapter()
        self.predictor = predictor_of(kind, spec)
        self._kind = kind
        self._history = [f.name for f in spec.inputs if f.type == HistoryType()]
        self._inputs = [f.name for f in spec.inputs if f.type != HistoryType()]
        self._required = {f.name for f in spec.inputs if f.required}
        self._required -= set(self._history)

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
        made = sha256(orjson.dumps([self._kind, prompt, self.lm.fingerprint]))
        return f"{self._kind}@{made.hexdigest()[:12]}"

    def messages(self, fields: Fields, history: Sequence[Turn]) -> list[Any]:
        """Return the chat messages that DSPy itself would send."""
        asked: list[Any] = self.adapter.format(
            self.signature, self.predictor.demos, dict(self.given(fields, history))
        )
        return asked

    def given(self, fields: Fields, history: Sequence[Turn]) -> Mapping[str, Any]:
        """Return what the predictor is called with: its inputs and nothing else."""
        inputs = {name: fields[name] for name in self._inputs if name in fields}
        for name in self._history:
            inputs[name] = dspy.History(
                messages=[dict(turn.fields) for turn in history]
            )
        return inputs

    def check(self, fields: Fields) -> None:
        """Make sure that every required input is there.

        Raises:
            StageInputError: one is missing.
        """
        missing = self._required - fields.keys()
        if missing:
            reason = f"no value for {', '.join(sorted(missing))}"
            raise StageInputError(self.name, reason)


def predictor_of(kind: Kind, spec: StageSpec) -> dspy.Predict:
    """Return the predictor that a stage of *kind* asks.

    Raises:
        ConfigError: DSPy cannot have fields of these names; with every problem.
    """
    names = {field.name for field in (*spec.inputs, *spec.outputs)}
    if kind == "reason" and REASONING.name in names:
        raise ConfigError([TWICE])
    signature = dspy_signature(spec.inputs, spec.outputs, spec.instructions)
    if kind == "predict":
        return dspy.Predict(signature)
    predictor: dspy.Predict = dspy.ChainOfThought(signature).predict
    return predictor


def outputs_of(kind: Kind, spec: StageSpec) -> tuple[Field, ...]:
    """Return the output fields of a stage, in the order in which the LM fills them.

    A ``reason`` stage has ``reasoning`` (text) first, then those of its signature.
    """
    return spec.outputs if kind == "predict" else (REASONING, *spec.outputs)


def chat_adapter() -> dspy.ChatAdapter:
    """Return the adapter that all programs use.

    Without the fallback to JSON, which asks a second time behind our back: another
    attempt is the run's decision, and its cost is counted.
    """
    return dspy.ChatAdapter(use_json_adapter_fallback=False)
