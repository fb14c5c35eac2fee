"""Patterns of whole texts, matched in a time that grows with the text and no faster.

Python's ``re`` backtracks: one pattern and thirty characters of a stranger's can hold
everybody's event loop for minutes. Rust's engine, which pydantic brings along, cannot;
it has no look-around and no back references.
"""

from collections.abc import Callable

Matches = Callable[[str], bool]


def pattern_problem(pattern: str) -> str | None:
    """Say what is wrong with *pattern*; None if it can be used."""
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
