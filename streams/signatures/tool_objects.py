"""Tools and calls of them as DSPy's own objects, which stages show to an LM."""

from collections.abc import Mapping
from typing import Any, NoReturn

import dspy

from streams.signatures.misfit import MisfitError
from streams.signatures.tool_checks import args_of
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.types import RecordOf
from streams.signatures.values import checker


def tool_object(kind: RecordOf, record: Mapping[str, Any]) -> Any:  # noqa: ANN401 - DSPy's
    """Return *record*, of a tool or of calls, as DSPy has it.

    What is neither by now, as turns of a history may be, stays as it is.
    """
    try:
        checked = checker(kind)(record)
    except MisfitError:
        return record
    return _tool(checked) if kind == TOOL else _calls(checked)


def is_tool_record(kind: RecordOf) -> bool:
    """Say whether DSPy has objects for records of *kind*."""
    return kind in (TOOL, TOOL_CALLS)


def _tool(record: dict[str, Any]) -> dspy.Tool:
    return dspy.Tool(
        _never_called,
        name=record["name"],
        desc=record["description"],
        args=args_of(record),
        arg_types={},
    )


# Without a docstring: DSPy would show it where a tool has no description.
def _never_called(**_args: object) -> NoReturn:
    reason = "this tool is the requester's: only who reads the result can call it"
    raise RuntimeError(reason)


def _calls(record: dict[str, Any]) -> dspy.ToolCalls:
    calls = [
        {"name": call["name"], "args": args_of(call)} for call in record["tool_calls"]
    ]
    return dspy.ToolCalls.from_dict_list(calls)
