"""Patterns of whole texts, matched in a time that grows with the text and no faster.

Python's ``re`` backtracks: one pattern and thirty characters of a stranger's can hold
everybody's event loop for minutes. Rust's engine, which pydantic brings along, cannot;
it has no look-around and no back references.
"""

import re
from collections.abc import Callable
from typing import Final

Matches = Callable[[str], bool]

MAX_WEIGHT: Final = 2_000
"""Of all patterns of a signature. Compiling takes a tenth of a second then; without a
bound, counts such as ``\\w{300}`` let a page of text take minutes."""

# A class knows hundreds of ranges of Unicode, and a count repeats it so many times.
_CLASS_WEIGHT: Final = 10
_PIECE: Final = re.compile(
    r"""
      \\[pP]\{[^}]*\} | \\. | \[(?:\\.|[^\]])*\]      # classes
    | \{(?P<low>\d+)(?:,(?P<high>\d*))?\}                 # counts
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def weight_of(pattern: str) -> int:
    """Return roughly how much there is to compile: counted parts, written out."""
    groups, last = [0], 0
    for piece in _PIECE.finditer(pattern):
        text, low, high = piece.group(), piece["low"], piece["high"]
        if low is not None:
            # Eleven digits are as good as a thousand, and cheaper to read.
            times = max(int(low[:11]), int((high or "0")[:11]))
            groups[-1] += last * max(0, times - 1)
            last *= times
        elif text == "(":
            groups.append(0)
        elif text == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        else:
            last = _CLASS_WEIGHT if len(text) > 1 else 1
            groups[-1] += last
    return sum(groups)


def pattern_problem(pattern: str) -> str | None:
    """Say what is wrong with *pattern*; None if it can be used."""
    if weight_of(pattern) > MAX_WEIGHT:
        return "this pattern is too large"
    try:
        compile_pattern(pattern)
    except ValueError as error:
        return str(error)
    return None


def compile_pattern(pattern: str) -> Matches:
    """Return the function that says whether a whole text is of *pattern*.

    Raises:
        ValueError: it is no pattern of Rust's engine, or a huge one.
    """
    # Here and not above: its 20 ms are for signatures with patterns only.
    from pydantic_core import (  # noqa: PLC0415
        SchemaError,
        SchemaValidator,
        core_schema,
    )

    schema = core_schema.str_schema(
        pattern=rf"\A(?:{pattern})\z", regex_engine="rust-regex", strict=True
    )
    try:
        validator = SchemaValidator(schema)
    except SchemaError as error:
        # Its last line says why; those before draw the pattern.
        reason = str(error).strip().splitlines()[-1].rpartition("rror: ")[2]
        message = f"this pattern cannot be used: {reason}"
        raise ValueError(message) from error
    return validator.isinstance_python
