"""Read back, from a chat prompt that DSPy wrote, what it asks for and what it gives.

The demo LM needs no program: everything it must know stands in the prompt, in the
layout of one of DSPy's adapters. A prompt that is not of that kind asks for nothing.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.language.adapter_choice import AdapterName

OUTPUTS_BEGIN: Final = "Your output fields are:\n"
OUTPUTS_END: Final = "\nAll interactions will be structured"
REMINDERS: Final[Mapping[AdapterName, str]] = {
    "chat": "Respond with the corresponding output fields, starting with",
    "json": "Respond with a JSON object in the following order of fields:",
    "xml": "Respond with the corresponding output fields wrapped in XML tags",
}
"""How the end of a prompt begins, by the layout in which it wants its answer."""

_FIELD: Final = re.compile(r"^\d+\. `(\w+)` \((.*)$", re.MULTILINE)
_HEADER: Final = re.compile(r"^\[\[ ## (\w+) ## \]\]$", re.MULTILINE)
_IN_JSON: Final = re.compile(r'\s*"\w+": (".*"),?')
_SCHEMA: Final = re.compile(
    r"^\{(\w+)\} +# note: the value you produce must adhere to "
    r"the JSON schema: (\{.*\})$"
)
_TAGGED: Final = re.compile(r"^<(\w+)>\n(.*?)\n</\1>$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One output field that the prompt asks for."""

    name: str
    type: ast.expr
    """The Python type as the prompt spells it, such as ``Literal['a', 'b']``."""
    described: str = ""
    """Its description."""
    record: Mapping[str, Any] | None = None
    """The JSON Schema of a type that has records in it."""


def outputs_of(system: str) -> tuple[Wanted, ...]:
    """Return the output fields that a system message lists; none if it lists none."""
    _, found, rest = system.partition(OUTPUTS_BEGIN)
    if not found:
        return ()
    listed, _, shown = rest.partition(OUTPUTS_END)
    records = _records_in(shown)
    return tuple(
        _wanted(match[1], match[2], records) for match in _FIELD.finditer(listed)
    )


def layout_of(user: str) -> AdapterName:
    """Return the layout that a user message asks for: what it says last counts."""
    return max(REMINDERS, key=lambda layout: user.rfind(REMINDERS[layout]))


def inputs_of(user: str) -> Mapping[str, str]:
    """Return the input sections of a user message, by field name.

    A message without sections is one input called ``prompt``.
    """
    layout = layout_of(user)
    body = user.rpartition(REMINDERS[layout])[0] or user
    found = _tagged(body) if layout == "xml" else _headed(body)
    return found or {"prompt": user.strip()}


def said_by(role: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of the last message of *role*; empty if there is none."""
    for message in reversed(messages):
        if message.get("role") == role:
            return _text(message.get("content"))
    return ""


def _headed(body: str) -> Mapping[str, str]:
    headers = list(_HEADER.finditer(body))
    ends = [*(match.start() for match in headers[1:]), len(body)]
    # Without a header there is an end, and nothing that ends there.
    return {
        match[1]: body[match.end() : end].strip()
        for match, end in zip(headers, ends, strict=False)
    }


def _tagged(body: str) -> Mapping[str, str]:
    return {match[1]: match[2].strip() for match in _TAGGED.finditer(body)}


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(part for part in parts if isinstance(part, str))


def _wanted(name: str, rest: str, records: Mapping[str, Mapping[str, Any]]) -> Wanted:
    # A Literal may contain "):" itself, so the type ends where Python can read it.
    kind: ast.expr = ast.Name(id="str")
    described, end = "", rest.find("):")
    while end >= 0:
        try:
            kind = ast.parse(rest[:end], mode="eval").body
        except (SyntaxError, ValueError):
            end = rest.find("):", end + 1)
        else:
            described = rest[end + 2 :].strip()
            break
    return Wanted(name=name, type=kind, described=described, record=records.get(name))


def _records_in(shown: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the schemas in *shown*, the layout of the answer, that have records."""
    found = {}
    for line in shown.splitlines():
        in_json = _IN_JSON.fullmatch(line)
        match = _SCHEMA.search(_loaded(in_json[1], "") if in_json else line)
        schema = _loaded(match[2], None) if match else None
        if match and isinstance(schema, dict) and _has_records(schema):
            found[match[1]] = schema
    return found


def _has_records(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("$defs") or schema.get("properties"))


def _loaded(said: str, otherwise: Any) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(said)
    except ValueError:
        return otherwise
