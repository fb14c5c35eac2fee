"""What CEL complains of, in our words, and without values of requests."""

import re
from collections.abc import Mapping
from typing import Final

from streams.language.problems import meant
from streams.signatures.types import FieldType

_COMPLAINT: Final = re.compile(
    r"^(?:\w+: )?ERROR: <input>:(\d+):(\d+): (.*)$", re.MULTILINE
)
_UNDECLARED: Final = re.compile(r"undeclared reference to '\.?((\w+)[^']*)'")
_REASONS: Final = (
    "divide by zero",
    "modulus by zero",
    "integer overflow",
    "Index error",
    "Key not found in map",
    "No matching overloads found",
    "Iteration budget exceeded",
    "conversion failed",
    "cannot convert",
    "invalid regular expression",
)
"""What may be told of an error: the rest of CEL's sentences may quote values."""

UNKNOWN: Final = "nothing is called"
"""How a sentence begins about a field, or a function, that nobody knows."""

TOO_DEEP: Final = "is nested too deep for CEL: 32 levels, and `a + b + c` has two"

Complaints = tuple[tuple[tuple[int, int] | None, str], ...]
"""Line and column, and CEL's sentence."""


def complaints_in(said: str) -> Complaints:
    """Return what CEL *said* of a text that it could not compile."""
    if "recursion" in said:
        return ((None, TOO_DEEP),)
    found = _COMPLAINT.findall(said)
    return tuple(
        ((int(line), int(column)), _plain(sentence))
        for line, column, sentence in found
        # What follows from another complaint.
        if "*error*" not in sentence
    ) or ((None, _plain(said.partition(": ")[2])),)


def _plain(sentence: str) -> str:
    """Return CEL's *sentence* without what only says how CEL is made."""
    for noise in (" (in container '')", " [INVALID_ARGUMENT]", " [CANCELLED]"):
        sentence = sentence.replace(noise, "")
    return sentence.partition(" expecting {")[0].replace("Syntax error: ", "")


def told(at: tuple[int, int] | None, said: str, types: Mapping[str, FieldType]) -> str:
    """Return a complaint as a problem of a file, ``column 3: ...``."""
    unknown = _UNDECLARED.search(said)
    if unknown:
        said = f"{UNKNOWN} {unknown[2]}; {meant(unknown[2], types)}"
    if at is None:
        return said
    line, column = at
    if unknown:
        # Of a.b.c CEL shows the last point; it is about the first name.
        column = max(1, column - len(unknown[1].rpartition(".")[0]))
    place = f"column {column}" if line == 1 else f"line {line}, column {column}"
    return f"{place}: {said}"


def reason(said: str) -> str:
    """Return why an evaluation failed; the rest of what was *said* may quote values."""
    known = (each for each in _REASONS if each in said)
    return next(known, "it has no value").lower()
