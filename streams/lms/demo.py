"""``local/demo``: an LM that needs no key, no network and no time.

It reads the signature in the prompt and answers from the inputs, so that a demo means
something and a test knows what to expect. The fake LM server answers with it too.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.records import Usage
from streams.lms.demo_prompt import Wanted, inputs_of, outputs_of, said_by
from streams.lms.demo_values import Material, sentence_for, value_for
from streams.stage import Answer, LMCall

FINGERPRINT: Final = "local/demo@1"
"""Raise the number whenever other answers come out: journals depend on it."""

REMEMBERED: Final = 256
"""System messages whose fields are kept; a pipeline has a handful."""

CHARS_PER_TOKEN: Final = 4


class DemoAnswers:
    """Answers chat prompts; the same messages always get the same answer."""

    def __init__(self) -> None:
        self._outputs: dict[str, tuple[Wanted, ...]] = {}

    def answer(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return the completion for *messages*, in the layout that they ask for."""
        outputs = self._outputs_of(said_by("system", messages))
        material = Material.of(inputs_of(said_by("user", messages)))
        if not outputs:
            return sentence_for("answer", material)
        sections = [_section(wanted, material) for wanted in outputs]
        return "\n\n".join([*sections, "[[ ## completed ## ]]\n"])

    def _outputs_of(self, system: str) -> tuple[Wanted, ...]:
        known = self._outputs.get(system)
        if known is None:
            if len(self._outputs) >= REMEMBERED:
                self._outputs.clear()
            known = self._outputs[system] = outputs_of(system)
        return known


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


def _section(wanted: Wanted, material: Material) -> str:
    value = value_for(wanted.name, wanted.type, material)
    is_text = isinstance(value, str)
    body = value if is_text else json.dumps(value, ensure_ascii=False)
    return f"[[ ## {wanted.name} ## ]]\n{body}"
