"""Checkers of tools and their calls: records whose ``args`` are JSON objects.

DSPy's own objects are taken as the records that they say.
"""

import json
from typing import Any, Final

import orjson

from streams.signatures.dspy_objects import dspy_object
from streams.signatures.misfit import Checker, MisfitError

MAX_DEPTH: Final = 64
"""Of JSON in ``args``: Python's stack is shown it, and pydantic's."""

_ARGS: Final = "args"
_CALLS: Final = "tool_calls"
_SCHEMAS: Final = "a JSON object of JSON Schemas"
_VALUES: Final = "a JSON object"


def tool_checker(check_record: Checker) -> Checker:
    """Return *check_record*, and then whether all arguments have JSON Schemas."""

    def check(value: object) -> dict[str, Any]:
        checked: dict[str, Any] = check_record(_tool_of(value))
        args = _args_in(checked, _SCHEMAS)
        if not all(type(schema) is dict for schema in args.values()):
            raise MisfitError(wanted=_SCHEMAS, got="another one").within(_ARGS)
        return checked

    return check


def calls_checker(check_record: Checker) -> Checker:
    """Return *check_record*, and then whether all calls have arguments."""

    def check(value: object) -> dict[str, Any]:
        checked: dict[str, Any] = check_record(_calls_of(value))
        for index, call in enumerate(checked[_CALLS]):
            try:
                _args_in(call, _VALUES)
            except MisfitError as misfit:
                raise misfit.within(index).within(_CALLS) from None
        return checked

    return check


def args_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return the ``args`` of a checked *record*, without a text around them."""
    made: dict[str, Any] = json.loads(record[_ARGS])
    return made


def _args_in(record: dict[str, Any], wanted: str) -> dict[str, Any]:
    try:
        # It refuses what Python's would take: NaN, halves of characters.
        args = orjson.loads(record[_ARGS])
    except orjson.JSONDecodeError:
        raise MisfitError(wanted=wanted, got="another text").within(_ARGS) from None
    if type(args) is not dict:
        raise MisfitError(wanted=wanted, got="another value").within(_ARGS)
    if not _within(args, MAX_DEPTH):
        got = f"one that nests more than {MAX_DEPTH} deep"
        raise MisfitError(wanted=wanted, got=got).within(_ARGS)
    return args


def _within(value: object, depth: int) -> bool:
    """Say whether *value* nests no more than *depth* deep."""
    match value:
        case dict():
            return depth > 0 and all(_within(v, depth - 1) for v in value.values())
        case list():
            return depth > 0 and all(_within(item, depth - 1) for item in value)
        case _:
            return True


def _tool_of(value: object) -> object:
    tool: Any = dspy_object(value, "Tool")
    if tool is None:
        return value
    said = {"name": tool.name, "description": tool.desc or ""}
    return said | {"args": _text_of(tool.args)}


def _calls_of(value: object) -> object:
    calls: Any = dspy_object(value, "ToolCalls")
    if calls is None:
        return value
    return {
        "tool_calls": [
            {"name": call.name, "args": _text_of(call.args)}
            for call in calls.tool_calls
        ]
    }


def _text_of(args: object) -> str:
    try:
        return json.dumps(args, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise MisfitError(wanted=_VALUES, got="another value").within(_ARGS) from None
