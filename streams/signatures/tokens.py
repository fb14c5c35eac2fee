"""Cut the text of a signature into tokens; what is none is a token of its own kind."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["name", "text", "number", "mark", "stray", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the text; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word, constant or mark of a signature."""

    kind: Kind
    text: str
    at: Position
    value: str | int | float | None = None
    """Of a text or a number: what it stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
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
    end = Token(kind="end", text="", at=_position(text, len(text)))
    return [*_tokens(text), end]


def _tokens(text: str) -> Iterator[Token]:
    start = 0
    while start < len(text):
        match = _TOKEN.match(text, start)
        if match is None:
            # An open quote swallows the rest: nobody knows where it should close.
            stray = text[start:] if text[start] in QUOTES else text[start]
            yield Token(kind="stray", text=stray, at=_position(text, start))
            start += len(stray)
            continue
        if match.lastgroup != "space":
            yield _token(match, _position(text, start))
        start = match.end()


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


def _position(text: str, start: int) -> Position:
    line_start = text.rfind("\n", 0, start) + 1
    return Position(line=text.count("\n", 0, start) + 1, column=start - line_start + 1)
