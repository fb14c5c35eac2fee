"""The messages of a DSPy predictor, compiled once: byte for byte what DSPy sends.

DSPy builds the system part, the demos and its reminder anew for every call, and a
pydantic adapter for every value; that is most of what a call costs. All of it is
constant or trivial for the types that our signatures have.

One deliberate difference: DSPy turns ``<<CUSTOM-TYPE-START-IDENTIFIER>>`` markers in
user messages into content blocks, wherever they come from. Our fields have no types
that need them (tools are shown as text), so such a marker is a user's text, and stays
text.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import dspy
from dspy.adapters.utils import format_field_value, serialize_for_json

from streams.session import Turn
from streams.stage import Fields

Message = Mapping[str, Any]

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_END: Final = "\n\n[[ ## completed ## ]]\n"


class Prompt:
    """What a predictor asks, given fields and history."""

    def __init__(
        self,
        adapter: dspy.ChatAdapter,
        signature: type[dspy.Signature],
        demos: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._adapter = adapter
        self._section = section_of(adapter)
        self._answers_in_sections = type(adapter) is dspy.ChatAdapter
        self._history = history_field(signature)
        asked = signature.delete(self._history) if self._history else signature
        self._asked = asked
        self._inputs: Mapping[str, Any] = asked.input_fields
        self._outputs: Mapping[str, Any] = asked.output_fields
        self._reminder = adapter.user_message_output_requirements(asked)
        # Without inputs the last message is the reminder alone: all before it stays.
        *head, _ = adapter.format(signature, list(demos), {})
        self._head: tuple[Message, ...] = tuple(head)

    def messages(
        self, fields: Fields, history: Sequence[Turn] = ()
    ) -> tuple[Message, ...]:
        """Return the messages of one call.

        Raises:
            ValueError: a turn of *history* cannot be shown.
        """
        turns = self._turns(history) if self._history and history else ()
        user = {"role": "user", "content": self._user(fields)}
        return (*self._head, *turns, user)

    def _user(self, fields: Fields) -> str:
        inputs = self._inputs.items()
        given = [
            self._section(name, _shown(fields[name], info))
            for name, info in inputs
            if name in fields
        ]
        return "\n\n".join([*given, self._reminder])

    def _turns(self, history: Sequence[Turn]) -> Sequence[Message]:
        if any(_calls_tools(turn.fields) for turn in history):
            return self._turns_by_dspy(history)
        messages: list[Message] = []
        for turn in history:
            said = turn.fields
            if any(name in said for name in self._inputs):
                messages.append({"role": "user", "content": self._user(said)})
            messages.append({"role": "assistant", "content": self._answer(said)})
        return messages

    def _answer(self, said: Fields) -> str:
        if not self._answers_in_sections:
            # An object, or tags within tags: DSPy's own way, and its price.
            return str(
                self._adapter.format_assistant_message_content(self._asked, said)
            )
        outputs = self._outputs.items()
        answered = [self._section(k, _shown(said.get(k), info)) for k, info in outputs]
        return "\n\n".join(answered).strip() + _END

    def _turns_by_dspy(self, history: Sequence[Turn]) -> Sequence[Message]:
        # A field that looks like tool calls is shown in ways of its own.
        name = self._history
        shown = {name: dspy.History(messages=[dict(turn.fields) for turn in history])}
        messages: Sequence[Message] = self._adapter.format_conversation_history(
            self._asked, name, shown
        )
        return messages


def history_field(signature: type[dspy.Signature]) -> str | None:
    """Return the name of the input that is a ``dspy.History``, if there is one."""
    for name, field in signature.input_fields.items():
        if field.annotation == dspy.History:
            return str(name)
    return None


def section_of(adapter: dspy.ChatAdapter) -> Callable[[str, str], str]:
    """Return how *adapter* sets a field off: from its name and its text."""
    return _tagged if isinstance(adapter, dspy.XMLAdapter) else _headed


def _headed(name: str, text: str) -> str:
    return f"[[ ## {name} ## ]]\n{text}"


def _tagged(name: str, text: str) -> str:
    return f"<{name}>\n{text}\n</{name}>"


def _shown(value: object, info: Any) -> str:  # noqa: ANN401 - pydantic's FieldInfo
    kind = type(value)
    if kind in _PLAIN:
        return str(value)
    if kind is dict or (kind is list and info.annotation is not str):
        # What JSON has no form for is a tool, or calls of some.
        return json.dumps(value, ensure_ascii=False, default=serialize_for_json)
    # Lists in text fields, and whatever else: DSPy's own way, and its price.
    return str(format_field_value(field_info=info, value=value))


def _calls_tools(fields: Fields) -> bool:
    values = fields.values()
    return any(isinstance(value, dict) and "tool_calls" in value for value in values)
