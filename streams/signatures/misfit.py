"""A value that does not have its type: what was expected, what came, and where."""

from collections.abc import Callable
from typing import Any

Checker = Callable[[Any], Any]
"""Returns a value as the pipeline will see it, or raises :class:`MisfitError`."""


class MisfitError(Exception):
    """A value does not have its type. Caught where the field's name is known."""

    def __init__(self, *, wanted: str, got: str, path: str = "") -> None:
        super().__init__(f"expected {wanted}, got {got}" + (path and f" at {path}"))
        self.wanted = wanted
        self.got = got
        self.path = path

    def within(self, step: object) -> "MisfitError":
        """Return the same misfit, seen from the list or dict that has it at *step*."""
        path = f"[{step!r}]{self.path}"
        return MisfitError(wanted=self.wanted, got=self.got, path=path)


def unlike(wanted: object, value: object) -> MisfitError:
    """Return the misfit of a *value* that is of another type than *wanted*."""
    # The type of what came, never the value: messages travel further than values.
    got = "None" if value is None else type(value).__name__
    return MisfitError(wanted=str(wanted), got=got)
