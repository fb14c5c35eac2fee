"""The values of a run while it goes on: by field, and holes where some are missing."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from schemas.records import ErrorInfo


class Hole(Struct, frozen=True):
    """Stands where a stage that was allowed to fail would have left a value."""

    error: ErrorInfo
    """Of that stage, however many stages were skipped since."""


class Scope:
    """Fields of a part of the flow, and its place.

    The element of a map has a scope of its own: it sees what is outside and leaves
    nothing there. An iteration of a loop has a place of its own, and no values.
    """

    __slots__ = ("path", "values", "worked")

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self.values = values
        self.path = path
        """What stands before the names of its stages: ``""``, or ``map.1/17/``."""
        self.worked = False
        """Whether a stage was run in it, not only remembered."""

    def inside(self, path: str, own: Mapping[str, Any]) -> "Scope":
        """Return a scope with values of its own: those here, and *own*."""
        return Scope({**self.values, **own}, path)

    def at(self, path: str) -> "Scope":
        """Return a scope with the same values at another place."""
        return Scope(self.values, path)

    def take_over(self, its: "Scope", before: Mapping[str, Any]) -> None:
        """Take the values of *its* that are not what they were *before*."""
        for name, value in its.values.items():
            if name not in before or before[name] is not value:
                self.values[name] = value

    def fill(self, names: Iterable[str], value: object) -> None:
        """Give all of *names* the same value: a hole."""
        self.values.update(dict.fromkeys(names, value))

    def complete(self, names: Iterable[str]) -> None:
        """Let those of *names* that nobody made be None: another way was taken."""
        for name in names:
            self.values.setdefault(name, None)

    def first_hole(self, names: Iterable[str]) -> Hole | None:
        """Return the first hole among *names*, if there is one."""
        for name in names:
            value = self.values[name]
            if type(value) is Hole:
                return value
        return None
