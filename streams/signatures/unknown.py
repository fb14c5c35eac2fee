"""What to say of a type that a signature cannot have: the one meant, or another way."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

ALLOWED: Final = (
    "str",
    "int",
    "float",
    "bool",
    "bytes",
    "date",
    "datetime",
    "Decimal",
    "Image",
    "Code",
    "Tool",
    "ToolCalls",
    "list",
    "dict",
    "tuple",
    "Optional",
    "Union",
    "Literal",
    "None",
)
_MEDIA: Final = (
    "an LM is given texts and images: send its text, or a record of `types:`"
)
BARE: Final = {
    "list": "say of what: list[str]",
    "dict": "say of what: dict[str, str]",
    "tuple": "say of what: tuple[str, int]",
    "Decimal": "say how many digits, and how many behind the point: Decimal[12, 2]",
    "Optional": "say of what: Optional[str]",
    "Union": "say of what: Union[str, int]",
    "Literal": "say which values: Literal['a', 'b']",
    "None": "a field that can only be None says nothing",
    "Any": "say which type: Avro and an LM must both know it",
    "object": "say which type: Avro and an LM must both know it",
    "set": "a set has no order to keep: write list[T]",
    "frozenset": "a set has no order to keep: write list[T]",
    "History": "a history is an input of its own: `history`, or `chat: History`",
    "Code": "a Code says its language: Code['python']",
    "Audio": _MEDIA,
    "Document": _MEDIA,
    "File": _MEDIA,
    "Citations": "declare a record of `types:` with what you want of a citation",
    "Reasoning": "write a `reason` stage: it leaves its `reasoning`, a str",
    "ToolCallResults": "declare a record of `types:` with what you tell of a call",
}


def unknown_type(name: str, declared: Iterable[str] = ()) -> str:
    """Return the sentence about *name*, which is no type by itself."""
    if name in BARE:
        return BARE[name]
    known = (*ALLOWED, *declared)
    close = get_close_matches(name, known, n=1) or get_close_matches(
        name.lower(), known, n=1
    )
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"unknown type {name}; {hint}"
