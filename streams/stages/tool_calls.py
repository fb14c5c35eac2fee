"""One run's tools: what a program calls is done once, told to its LM, and recorded.

Whatever goes wrong in a tool is an observation, as in DSPy: the LM reads it and may try
otherwise. DSPy shows it a traceback; ours is the last line of that, since paths of our
machines are nobody's business and would make every journalled call differ elsewhere.
"""

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from traceback import format_exception_only
from typing import Any, Final

import dspy
from dspy.adapters.utils import format_field_value
from msgspec import Struct
from msgspec import json as msgspec_json

from streams.cancellation import we_are_cancelled
from streams.json_form import encodable
from streams.language.tools import FINISH, Tool
from streams.patience import PatientTimeout
from streams.stage import Calls

RESULT_CHARS: Final = 20_000
"""Of what a tool returned, as its LM reads it again with every later turn."""
ERROR_CHARS: Final = 1_000
RECORDED_CHARS: Final = 2_000
"""Of arguments and results as they stand in records."""


class Observed(Struct, frozen=True):
    """What a tool call led to, as the journal keeps it."""

    ok: bool
    text: str


_UNTYPED: Final = dspy.Signature("value -> seen", "").input_fields["value"]
"""A field without a type: DSPy shows what is in a trajectory as its value."""

_stored: Final = msgspec_json.Decoder(Observed)


class Finish:
    """What the LM calls when it is done: DSPy's own, and no tool of ours."""

    def __init__(self, shown: dspy.Tool) -> None:
        self._shown = shown

    async def acall(self, /, **arguments: object) -> str:
        """Return what the LM reads."""
        try:
            return str(await self._shown.acall(**arguments))
        except Exception as error:  # noqa: BLE001 - as DSPy has it
            return failed(FINISH, error).text


class BoundTool:
    """A tool as DSPy's programs call it, within one run."""

    def __init__(
        self, tool: Tool, shown: dspy.Tool, calls: Calls, limit_s: float, log: "Log"
    ) -> None:
        self._tool = tool
        self._shown = shown
        self._calls = calls
        self._limit_s = limit_s
        self._log = log

    async def acall(self, /, **arguments: object) -> str:
        """Return what the LM reads; never raises, cancellation apart."""
        name = self._tool.name
        try:
            # Checks and converts as DSPy does; it returns what it would call with.
            parsed = await self._shown.acall(**arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, the LM wrote it
            observed = failed(name, error)
        else:
            text = await self._calls.effect(
                name, _digest(arguments), partial(self._stored, parsed)
            )
            observed = _stored.decode(text)
        self._log.add(name, arguments, observed)
        return observed.text

    async def _stored(self, arguments: Mapping[str, Any]) -> str:
        return msgspec_json.encode(await self._done(arguments)).decode()

    async def _done(self, arguments: Mapping[str, Any]) -> Observed:
        tool, scope = self._tool, PatientTimeout(self._limit_s)
        try:
            async with scope:
                returned = await tool.call(**arguments)
            return Observed(ok=True, text=_bounded(shown_value(returned)))
        except asyncio.CancelledError as error:
            if we_are_cancelled():
                raise
            # Nobody cancelled us: the tool let its own cancellation escape.
            return failed(tool.name, error)
        except TimeoutError as error:
            late = TimeoutError(f"no answer within {self._limit_s:g} s")
            return failed(tool.name, late if scope.expired() else error)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            return failed(tool.name, error)


class Log:
    """The tool calls of one run of a stage, in the form of ``TOOL_CALLS``."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def add(self, tool: str, arguments: Mapping[str, Any], observed: Observed) -> None:
        """Take one more."""
        said = encodable(json.dumps(arguments, ensure_ascii=False, default=str))
        self.calls.append(
            {
                "tool": tool,
                "arguments": cut(said, RECORDED_CHARS),
                "ok": observed.ok,
                "result": cut(observed.text, RECORDED_CHARS),
            }
        )


def shown_tool(tool: Tool) -> dspy.Tool:
    """Return what an LM is told of *tool*; called, it returns checked arguments."""
    told = dspy.Tool(tool.call.function, name=tool.name, desc=tool.description or None)
    shown = dspy.Tool(
        _taken, name=told.name, desc=told.desc, args=told.args, arg_types=told.arg_types
    )
    # Ours takes anything by name; arguments that the tool does not have are refused.
    shown.has_kwargs = False
    return shown


def shown_value(value: object) -> str:
    """Return *value* as DSPy shows it in a trajectory."""
    return str(format_field_value(field_info=_UNTYPED, value=value))


def failed(tool: str, error: BaseException) -> Observed:
    """Return what an LM is told of a tool that raised *error*."""
    said = "".join(format_exception_only(error)).strip()
    text = f"Execution error in {tool}: \n{cut(said, ERROR_CHARS)}"
    return Observed(ok=False, text=encodable(text))


def cut(text: str, limit: int) -> str:
    """Return *text*, or its beginning and how long it was."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]} … ({len(text)} characters in all)"


def _taken(**arguments: object) -> Mapping[str, Any]:
    return arguments


def _bounded(text: str) -> str:
    return encodable(cut(text, RESULT_CHARS))


def _digest(arguments: Mapping[str, Any]) -> str:
    packed = json.dumps(arguments, sort_keys=True, default=str).encode()
    return blake2b(packed, digest_size=16).hexdigest()
