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
    "list",
    "dict",
    "tuple",
    "Optional",
    "Union",
    "Literal",
    "None",
)
_DSPYS: Final = (
    "Audio",
    "Code",
    "Document",
    "File",
    "Image",
    "Reasoning",
    "Tool",
    "ToolCalls",
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
    "History": "a history is the input `history`, without a type",
} | dict.fromkeys(
    _DSPYS, "DSPy's own types are not supported: send a str, or a record of `types:`"
)


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
