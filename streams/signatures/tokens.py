"""Cut the text of a signature into tokens; what is none is a token of its own kind."""

import re
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

Kind = Literal["name", "text", "number", "mark", "stray", "end"]


class Position(Struct, frozen=True, kw_only=True):
    """A place in the text; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class Token(Struct, frozen=True, kw_only=True):
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

    def __str__(self) -> str:
        return f"{self.at}: {self.sentence}"


_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<name>[^\W\d]\w*)
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<mark>->|\.\.\.|\.\.|[:,=|{}\[\]])
    """,
    re.VERBOSE | re.DOTALL,
)
QUOTES: Final = ("'", '"')
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "'": "'", '"': '"', "\\": "\\"}
_ESCAPING: Final = str.maketrans({"\n": "\\n", "\t": "\\t", "'": "\\'", "\\": "\\\\"})


def tokenize(text: str) -> list[Token]:
    """Return the tokens of *text*; the last one is of kind ``end``."""
    return list(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    start, line, line_start = 0, 1, 0
    while start < len(text):
        at = Position(line=line, column=start - line_start + 1)
        match = _TOKEN.match(text, start)
        if match is None:
            # An open quote swallows the rest: nobody knows where it should close.
            stray = text[start:] if text[start] in QUOTES else text[start]
            yield Token(kind="stray", text=stray, at=at)
            end = start + len(stray)
        else:
            if match.lastgroup != "space":
                yield _token(match, at)
            end = match.end()
        breaks = text.count("\n", start, end)
        if breaks:
            line += breaks
            line_start = text.rfind("\n", start, end) + 1
        start = end
    at = Position(line=line, column=start - line_start + 1)
    yield Token(kind="end", text="", at=at)


def _token(match: re.Match[str], at: Position) -> Token:
    text = match.group()
    match match.lastgroup:
        case "name":
            return Token(kind="name", text=text, at=at)
        case "number":
            whole = text.lstrip("-").isdigit()
            number = int(text) if whole and len(text) <= _DIGITS else float(text)
            return Token(kind="number", text=text, at=at, value=number)
        case "text":
            return Token(kind="text", text=text, at=at, value=_unquoted(text))
        case _:
            return Token(kind="mark", text=text, at=at)


# int() takes quadratic time and refuses 4,300 digits; nobody means such a number.
_DIGITS: Final = 40


def quoted(text: str) -> str:
    """Return *text* as a signature writes it: between quotes, as it can be read."""
    return f"'{text.translate(_ESCAPING)}'"


def _unquoted(text: str) -> str:
    # As in Python, a backslash before any other character stands for itself: patterns
    # are written '\\d+'.
    return _ESCAPED.sub(lambda m: _ESCAPES.get(m[1], m[0]), text[1:-1])
