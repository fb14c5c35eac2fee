"""DSPy's own sentence for a signature that says nothing of its task."""

from collections.abc import Iterable


def default_instructions(inputs: Iterable[str], outputs: Iterable[str]) -> str:
    """Return the instructions of a signature without any, from the names of fields."""
    given = ", ".join(f"`{name}`" for name in inputs)
    wanted = ", ".join(f"`{name}`" for name in outputs)
    return f"Given the fields {given}, produce the fields {wanted}."
