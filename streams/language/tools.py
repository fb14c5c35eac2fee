"""Tools that stages may let an LM call: declared in a file, found in user code.

    tools:
      lookup: {call: "examples.desk:lookup", timeout: 5s, description: "Find an order."}

A tool is a function, ``async`` or not, in a module that may be named
(``PENSTOCK_CODE_MODULES``). Its parameters need types: they are what the LM is told.
"""

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from streams.errors import ConfigError
from streams.language.problems import Problems, meant
from streams.language.section import Section
from streams.signatures.from_function import read_parameters
from streams.signatures.types import BOOL, STR, Field, ListOf, RecordOf
from streams.user_call import UserCall, source_fingerprint
from streams.user_code import UserCode

KEYS: Final = ("call", "timeout", "description")

TIMEOUT_S: Final = 30.0
"""Of a tool that states none: an LM's turn should not wait longer for anything."""

USE_KEYS: Final = ("tools", "max_calls", "tool_timeout")
"""Of a stage that has tools."""

MAX_CALLS: Final = 20
"""Turns of a stage that states no number; DSPy's own."""
MOST_CALLS: Final = 200

FINISH: Final = "finish"
"""What an LM calls when it is done; no tool may have the name."""


TOOL_CALL: Final = RecordOf(
    "ToolCall",
    (
        Field(name="tool", type=STR),
        Field(name="arguments", type=STR),
        Field(name="ok", type=BOOL),
        Field(name="result", type=STR),
    ),
)
"""One call: its arguments in JSON, whether it returned, and what the LM was told."""

TOOL_CALLS: Final = Field(
    name="tool_calls",
    type=ListOf(TOOL_CALL),
    description="The tools that the LM called, in order.",
)
"""The output that a stage with tools leaves behind its others."""


def tool_call_problem(types: Mapping[str, RecordOf]) -> str | None:
    """Say why the declared *types* clash with what stages with tools leave."""
    if types.get(TOOL_CALL.name, TOOL_CALL) == TOOL_CALL:
        return None
    fields = ", ".join(f"{field.name}: {field.type}" for field in TOOL_CALL.fields)
    return f"is what stages with tools leave: {fields}; call yours otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolText:
    """One entry under ``tools:``."""

    target: str
    """``module:function``."""
    timeout_s: float
    description: str
    """Empty for what the function's docstring says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that an LM may call."""

    name: str
    call: UserCall
    timeout_s: float
    """Seconds for one call."""
    description: str
    """Empty for what the function's docstring says."""
    fingerprint: str
    """Changes with the source of the function's module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """What a stage with tools says of them."""

    tools: tuple[str, ...]
    max_calls: int
    """Turns of the LM: each is one LM call and one tool call."""
    timeout_s: float | None
    """Seconds that no tool call may exceed, whatever the tool allows."""


def read_tool_use(section: Section) -> ToolUse:
    """Return the keys of :data:`USE_KEYS` of an entry under ``stages:``."""
    names = section.get("tools")
    if names is None and section.has("react"):
        section.wrong("tools", "is missing: a list of names under `tools:`")
    if not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
        if names is not None:
            section.wrong("tools", "must be a list of names under `tools:`")
        names = []
    most = section.whole("max_calls", low=1, high=MOST_CALLS)
    return ToolUse(
        tools=tuple(dict.fromkeys(names)),
        max_calls=most or MAX_CALLS,
        timeout_s=section.seconds("tool_timeout"),
    )


def unknown_tools(use: ToolUse, known: Collection[str]) -> list[str]:
    """Return a problem for each tool of *use* that is none of those *known*."""
    return [
        f"no tool is called {name}; {meant(name, known)}"
        for name in use.tools
        if name not in known
    ]


def read_tools(section: Section) -> dict[str, ToolText]:
    """Return what the file says under ``tools:``; what is wrong goes to *section*."""
    found = {}
    for name in section.names():
        entry = section.sub(name)
        if not entry.readable:
            continue
        entry.only(KEYS)
        target = entry.text("call", needed=True)
        if name == FINISH:
            section.wrong(name, f"{FINISH} is what an LM calls when it is done")
        elif target is not None:
            found[name] = ToolText(
                target=target,
                timeout_s=entry.seconds("timeout") or TIMEOUT_S,
                description=entry.text("description") or "",
            )
    return found


def find_tools(
    texts: Mapping[str, ToolText], code: UserCode, problems: Problems
) -> dict[str, Tool]:
    """Return the tools of *texts*; those that cannot be had go to *problems*."""
    found = {}
    for name, text in texts.items():
        try:
            found[name] = open_tool(name, text, code)
        except ConfigError as error:
            problems.add_all(f"tools.{name}.call", error.problems)
    return found


def open_tool(name: str, text: ToolText, code: UserCode) -> Tool:
    """Return the tool that *text* describes; imports its module.

    Raises:
        ConfigError: no LM could call it; with every problem.
    """
    function = code.find(text.target)
    reading = read_parameters(function)
    untyped = (field.name for field in reading.inputs if field.type is None)
    wrong = [f"its parameter {name} needs a type" for name in untyped]
    if not (text.description or inspect.getdoc(function)):
        wrong.append("say what it does: a docstring, or `description`")
    if reading.problems or wrong:
        raise ConfigError([*reading.problems, *wrong])
    return Tool(
        name=name,
        call=UserCall(function, code.lane),
        timeout_s=text.timeout_s,
        description=text.description,
        fingerprint=source_fingerprint(function),
    )
