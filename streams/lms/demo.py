"""``local/demo``: an LM that needs no key, no network and no time.

It reads the signature in the prompt and answers from the inputs, so that a demo means
something and a test knows what to expect. The fake LM server answers with it too.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from schemas.records import Usage
from streams.lms.demo_layouts import written
from streams.lms.demo_prompt import Wanted, inputs_of, layout_of, outputs_of, said_by
from streams.lms.demo_rules import Rules
from streams.lms.demo_schema import value_of
from streams.lms.demo_tools import TURN, ToolSeen, apart, tools_of, turn
from streams.lms.demo_values import Material, sentence_for, value_for
from streams.stage import Answer, LMCall

FINGERPRINT: Final = "local/demo@3"
"""Raise the number whenever other answers come out: journals depend on it."""

REMEMBERED: Final = 256
"""System messages whose fields are kept; a pipeline has a handful."""

CHARS_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a system message asks for."""

    outputs: tuple[Wanted, ...]
    tools: tuple[ToolSeen, ...] | None
    """None, unless it asks for the next turn with one of them."""

    @classmethod
    def by(cls, system: str) -> Self:
        """Read *system*."""
        outputs = outputs_of(system)
        names = {wanted.name for wanted in outputs}
        return cls(outputs=outputs, tools=tools_of(system) if names == TURN else None)


class DemoAnswers:
    """Answers chat prompts; the same messages always get the same answer."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}

    def answer(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return the completion for *messages*, in the layout that they ask for."""
        asked = self._asked_by(said_by("system", messages))
        user = said_by("user", messages)
        inputs, called = apart(inputs_of(user))
        material = Material.of(inputs)
        if not asked.outputs:
            return sentence_for("answer", material)
        if asked.tools is not None:
            values = turn(asked.tools, inputs, called, material)
        else:
            values = {w.name: _value(w, material) for w in asked.outputs}
        return written(values, layout_of(user))

    def _asked_by(self, system: str) -> Asked:
        known = self._asked.get(system)
        if known is None:
            if len(self._asked) >= REMEMBERED:
                self._asked.clear()
            known = self._asked[system] = Asked.by(system)
        return known


def _value(wanted: Wanted, material: Material) -> Any:  # noqa: ANN401 - of its type
    if wanted.record is not None:
        return value_of(wanted.name, wanted.record, material)
    value = value_for(wanted.name, wanted.type, material)
    rules = Rules.of(wanted.described)
    match value:
        case bool():
            return value
        case str():
            return rules.text(value) if _is_text(wanted.type) else value
        case int() | float():
            return type(value)(rules.number(value))
        case list() if rules.low is not None or rules.high is not None:
            return (value * rules.count(len(value)))[: rules.count(len(value))]
        case _:
            return value


def _is_text(kind: ast.expr) -> bool:
    return isinstance(kind, ast.Name) and kind.id == "str"


class DemoLM:
    """The demo answers, as an LM of a pipeline."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._answers = DemoAnswers()

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        return FINGERPRINT

    def available(self) -> bool:
        return True

    async def complete(self, stage: str, call: LMCall) -> Answer:
        """Return the answer at once; nothing can go wrong."""
        text = self._answers.answer(call.messages)
        return Answer(text=text, usage=usage_of(call.messages, text))

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


def usage_of(messages: Sequence[Mapping[str, Any]], text: str) -> Usage:
    """Return what a call would have cost, tokens estimated from characters."""
    asked = sum(len(str(message.get("content", ""))) for message in messages)
    return Usage(
        calls=1,
        input_tokens=-(-asked // CHARS_PER_TOKEN),
        output_tokens=-(-len(text) // CHARS_PER_TOKEN),
        cost_usd=0.0,
    )
