"""How the demo LM uses tools: each that it was told of once, at most two, and it ends.

A ``react`` stage asks for a thought, a tool and its arguments; which tools there are,
and what they take, stands in the instructions, in DSPy's words.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from streams.lms.demo_rules import matching
from streams.lms.demo_schema import value_of
from streams.lms.demo_values import Material

TURN: Final = frozenset({"next_thought", "next_tool_name", "next_tool_args"})
"""The outputs that a turn asks for."""

FINISH: Final = "finish"
CALLS: Final = 2

_TOOL: Final = re.compile(
    r"^\s*\(\d+\) (?P<name>\w+), whose description is "
    r"<desc>(?P<says>(?s:.*?))</desc>\. It takes arguments (?P<takes>\{.*\})\.$",
    re.MULTILINE,
)
_EARLIER: Final = re.compile(
    r"trajectory|(?:thought|tool_name|tool_args|observation)_\d+"
)
_EXAMPLE: Final = re.compile(r"\bas (\S*\d\S*?)[.,;)]*(?:\s|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSeen:
    """A tool as the prompt describes it."""

    name: str
    says: str
    takes: Mapping[str, Any]
    """The JSON Schema of each argument."""


def tools_of(system: str) -> tuple[ToolSeen, ...]:
    """Return the tools that a system message lists, but for the one that ends."""
    return tuple(
        ToolSeen(name=found["name"], says=found["says"], takes=takes)
        for found in _TOOL.finditer(system)
        if found["name"] != FINISH and (takes := _arguments(found["takes"])) is not None
    )


def apart(inputs: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """Return what was asked, without the turns so far, and their number."""
    asked = {n: value for n, value in inputs.items() if not _EARLIER.fullmatch(n)}
    return asked, sum(name.startswith("tool_name_") for name in inputs)


def turn(
    tools: tuple[ToolSeen, ...],
    inputs: Mapping[str, str],
    called: int,
    material: Material,
) -> dict[str, Any]:
    """Return the next turn about *inputs*, after *called* calls of *tools*."""
    if called >= min(CALLS, len(tools)):
        return {
            "next_thought": "I know what I need.",
            "next_tool_name": FINISH,
            "next_tool_args": {},
        }
    tool = tools[called]
    return {
        "next_thought": f"{tool.name} may help with {material.quote!r}.",
        "next_tool_name": tool.name,
        "next_tool_args": {
            name: _argument(name, schema, tool, inputs, material)
            for name, schema in tool.takes.items()
        },
    }


def _argument(
    name: str,
    schema: Mapping[str, Any],
    tool: ToolSeen,
    inputs: Mapping[str, str],
    material: Material,
) -> Any:  # noqa: ANN401 - JSON
    if schema.get("type") != "string" or "enum" in schema:
        return value_of(name, schema, material)
    if name in inputs:
        return inputs[name]
    example = _EXAMPLE.search(tool.says)
    given = " ".join(inputs.values())
    return matching(_shape(example[1]), given) if example else material.quote


def _shape(example: str) -> str:
    """Return a pattern of what looks like *example*: ``A-17`` is ``[A-Z]-[0-9]+``."""
    shape = re.sub(r"[0-9]+", "[0-9]+", re.escape(example))
    return re.sub(r"(?<![\[\\-])[A-Z](?![-\]])", "[A-Z]", shape)


def _arguments(said: str) -> Mapping[str, Any] | None:
    try:
        read = ast.literal_eval(said)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return read if isinstance(read, dict) else None
