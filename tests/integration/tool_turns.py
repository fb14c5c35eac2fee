"""What the LM of these tests says: the demo's answers, and whom a loop calls next."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from streams.lms.demo import DemoAnswers
from streams.lms.demo_prompt import inputs_of, outputs_of, said_by

FINISH: Final = "finish"
OBSERVED: Final = re.compile(r"observation_\d+")


class ToolTurns:
    """Calls the tools one after the other, as often as it is told, then finishes.

    A tool is given ``order``, which tells its call from any other (``r7/0``: the first
    one for the ticket that begins with ``r7``), and the ``book`` that it was shown.
    """

    def __init__(self, tools: Sequence[str]) -> None:
        self._tools = tuple(tools)
        """One name a turn."""
        self._demo = DemoAnswers()

    def answer(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return the completion for *messages*."""
        wanted = {each.name for each in outputs_of(said_by("system", messages))}
        if "next_tool_name" not in wanted:
            return self._demo.answer(messages)
        told = inputs_of(said_by("user", messages))
        turn = sum(1 for name in told if OBSERVED.fullmatch(name))
        arguments = {"order": f"{told['ticket'].split()[0]}/{turn}"}
        arguments["book"] = told["book"]
        tool = self._tools[turn] if turn < len(self._tools) else FINISH
        return said(
            next_thought=f"Turn {turn}.",
            next_tool_name=tool,
            next_tool_args="{}" if tool == FINISH else json.dumps(arguments),
        )


def said(**fields: str) -> str:
    """Return an answer with *fields*, as DSPy's chat layout has it."""
    sections = [f"[[ ## {name} ## ]]\n{value}" for name, value in fields.items()]
    return "\n\n".join([*sections, "[[ ## completed ## ]]\n"])
