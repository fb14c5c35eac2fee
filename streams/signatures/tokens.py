"""Cut the text of a signature into tokens; what is none is a token of its own kind."""

import re
from typing import Any, Final, Literal

from msgspec import Struct

Kind = Literal[
    "name",
    "text",
    "number",
    "stray",
    "end",
    "->",
    "...",
    "..",
    ":",
    ",",
    "=",
    "|",
    "{",
    "}",
    "[",
    "]",
]
"""What a token is; a mark is a kind of its own."""

Position = int
"""A place in the text: how many characters are before it."""


class Token(Struct, frozen=True):
    """One word, constant or mark of a signature."""

    kind: Kind
    text: str
    at: Position
    value: str | int | float | None = None
    """Of a text or a number: what it stands for."""


class Problem(Struct, frozen=True, kw_only=True):
    """What is wrong with a signature, and where."""

    at: Position
    sentence: str

    def within(self, text: str) -> str:
        """Return the sentence with its place in *text*, for people: counted from 1."""
        line_start = text.rfind("\n", 0, self.at) + 1
        place = f"column {self.at - line_start + 1}"
        if "\n" in text.strip():
            place = f"line {text.count(chr(10), 0, self.at) + 1}, {place}"
        return f"{place}: {self.sentence}"


_TOKEN: Final = re.compile(
    r"""
    \s*(?:
      (?P<mark>[\[\]:,=|{}]|->|\.\.\.?)
    | (?P<name>[^\W\d]\w*)
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    # An open quote swallows the rest: nobody knows where it should close.
    | (?P<stray>['"].*|.)
    | (?P<end>)
    )""",
    re.VERBOSE | re.DOTALL,
)
QUOTES: Final = ("'", '"')
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "'": "'", '"': '"', "\\": "\\"}
_ESCAPING: Final = str.maketrans({"\n": "\\n", "\t": "\\t", "'": "\\'", "\\": "\\\\"})


def tokenize(text: str) -> list[Token]:
    """Return the tokens of *text*; the last one is of kind ``end``."""
    return [_token(match) for match in _TOKEN.finditer(text)]


def _token(match: re.Match[str]) -> Token:
    kind: Any = match.lastgroup
    text, at = match[kind], match.start(kind)
    if kind == "mark":
        return Token(text, text, at)
    return Token(kind, text, at, _value(kind, text))


def _value(kind: Kind, text: str) -> str | float | None:
    if kind == "text":
        return _unquoted(text)
    if kind != "number":
        return None
    whole = text.lstrip("-").isdigit()
    return int(text) if whole and len(text) <= _DIGITS else float(text)


# int() takes quadratic time and refuses 4,300 digits; nobody means such a number.
_DIGITS: Final = 40


def quoted(text: str) -> str:
    """Return *text* as a signature writes it: between quotes, as it can be read."""
    return f"'{text.translate(_ESCAPING)}'"


def _unquoted(text: str) -> str:
    # As in Python, a backslash before any other character stands for itself: patterns
    # are written '\\d+'.
    return _ESCAPED.sub(lambda m: _ESCAPES.get(m[1], m[0]), text[1:-1])
