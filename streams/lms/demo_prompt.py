"""Read back, from a chat prompt that DSPy wrote, what it asks for and what it gives.

The demo LM needs no program: everything it must know stands in the prompt, in the
layout of DSPy's ``ChatAdapter``. A prompt that is not of that kind asks for nothing.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

OUTPUTS_BEGIN: Final = "Your output fields are:\n"
OUTPUTS_END: Final = "\nAll interactions will be structured"
REMINDER: Final = "Respond with the corresponding output fields, starting with"

_FIELD: Final = re.compile(r"^\d+\. `(\w+)` \((.*)$", re.MULTILINE)
_HEADER: Final = re.compile(r"^\[\[ ## (\w+) ## \]\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One output field that the prompt asks for."""

    name: str
    type: ast.expr
    """The Python type as the prompt spells it, such as ``Literal['a', 'b']``."""


def outputs_of(system: str) -> tuple[Wanted, ...]:
    """Return the output fields that a system message lists; none if it lists none."""
    _, found, rest = system.partition(OUTPUTS_BEGIN)
    if not found:
        return ()
    listed, _, _ = rest.partition(OUTPUTS_END)
    return tuple(
        Wanted(name=match[1], type=_type_of(match[2]))
        for match in _FIELD.finditer(listed)
    )


def inputs_of(user: str) -> Mapping[str, str]:
    """Return the input sections of a user message, by field name.

    A message without sections is one input called ``prompt``.
    """
    body = user.rpartition(REMINDER)[0] or user
    headers = list(_HEADER.finditer(body))
    if not headers:
        return {"prompt": user.strip()}
    ends = [*(match.start() for match in headers[1:]), len(body)]
    return {
        match[1]: body[match.end() : end].strip()
        for match, end in zip(headers, ends, strict=True)
    }


def said_by(role: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of the last message of *role*; empty if there is none."""
    for message in reversed(messages):
        if message.get("role") == role:
            return _text(message.get("content"))
    return ""


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(part for part in parts if isinstance(part, str))


def _type_of(rest: str) -> ast.expr:
    # A Literal may contain "):" itself, so the type ends where Python can read it.
    end = rest.find("):")
    while end >= 0:
        try:
            return ast.parse(rest[:end], mode="eval").body
        except (SyntaxError, ValueError):
            end = rest.find("):", end + 1)
    return ast.Name(id="str")
