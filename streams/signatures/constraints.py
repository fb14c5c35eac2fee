"""Constraints as pydantic and ``annotated_types`` state them, and as our bounds.

``Field(ge=0, le=1)`` is the range ``0..1``. A pattern of pydantic's is looked for
anywhere in a text, one of ours is of the whole text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

from streams.signatures.tree import Argument, Between, Constant
from streams.signatures.types import INT, DecimalOf, FieldType


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What a ``Field`` may say besides a type; None where it says nothing."""

    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    """Of a whole text, as ours are."""
    max_digits: int | None = None
    decimal_places: int | None = None

    def and_those_of(self, other: "Constraints | None") -> "Constraints":
        """Return both; *other* stands further out, and wins where both speak."""
        said = {} if other is None else _said(other)
        return replace(self, **said)

    def limits(self, kind: FieldType) -> tuple[list[Argument], str | None]:
        """Return the bounds as a signature of *kind* writes them, or a problem."""
        low, high = self.ge, self.le
        if self.gt is not None or self.lt is not None:
            if kind != INT:
                return [], "both bounds belong to a range: write ge and le"
            low = low if self.gt is None else self.gt + 1
            high = high if self.lt is None else self.lt - 1
        lengths = (self.min_length, self.max_length)
        if lengths != (None, None):
            if (low, high) != (None, None):
                return [], "is bounded in its value and in its length"
            low, high = lengths
        elif (low, high) != (None, None) and not _is_number(kind):
            return [], f"ge and le are of numbers, not of {kind}"
        limits: list[Argument] = []
        if (low, high) != (None, None):
            limits.append(Between(low=low, high=high, at=0))
        if self.pattern is not None:
            limits.append(Constant(value=self.pattern, at=0))
        return limits, None


_KNOWN: Final = frozenset(field.name for field in fields(Constraints))

# Our checkers are strict and take finite numbers only, whatever these say.
_NEEDLESS: Final = frozenset({"strict", "allow_inf_nan"})


def constraints_of(metadata: Iterable[Any]) -> tuple[Constraints, str | None]:
    """Return what *metadata* of an annotation says, or why it cannot be kept."""
    said: dict[str, Any] = {}
    for name, value in _facts(metadata):
        if name not in _KNOWN:
            return Constraints(), f"{name} has no equal in a signature"
        said[name] = value
    pattern = said.get("pattern")
    if pattern is None:
        return Constraints(**said), None
    if type(pattern) is not str:
        return Constraints(), "write the pattern as a text"
    return Constraints(**said | {"pattern": whole(pattern)}), None


def _facts(metadata: Iterable[Any]) -> Iterable[tuple[str, Any]]:
    for each in metadata:
        if hasattr(each, "is_required"):  # a pydantic Field inside of an Annotated
            yield from _facts(each.metadata)
        elif isinstance(each, Iterable) and not isinstance(each, str):
            yield from _facts(each)  # several in one: annotated_types.Interval
        else:
            yield from _stated(each)


def _stated(each: Any) -> Sequence[tuple[str, Any]]:  # noqa: ANN401 - anything
    if is_dataclass(each):
        said = [(f.name, getattr(each, f.name)) for f in fields(each)]
    else:
        said = list(getattr(each, "__dict__", {}).items())
    if not said:
        return [(f"{type(each).__name__} in Annotated", each)]
    return [(n, v) for n, v in said if v is not None and n not in _NEEDLESS]


def _said(constraints: Constraints) -> dict[str, Any]:
    said = ((name, getattr(constraints, name)) for name in _KNOWN)
    return {name: value for name, value in said if value is not None}


def _is_number(kind: FieldType) -> bool:
    return str(kind) in ("int", "float") or isinstance(kind, DecimalOf)


def whole(pattern: str) -> str:
    """Return the pattern of a whole text that has *pattern* somewhere in it."""
    if pattern.startswith("^") and pattern.endswith("$"):
        body = pattern[1:-1]
        depths = list(_depths(body))
        if depths and body.startswith("(?:") and 0 not in depths[:-1]:
            return body[3:-1]
        bare = (
            d for d, character in zip(depths, body, strict=True) if character == "|"
        )
        if not body.endswith("\\") and 0 not in bare:
            return body
    return f"(?s:.*)(?:{pattern})(?s:.*)"


def anchored(pattern: str) -> str:
    """Return *pattern*, one of a whole text, as pydantic takes it."""
    return f"^(?:{pattern})$"


def _depths(pattern: str) -> Iterable[int]:
    """Give for each character how many groups and classes are open behind it."""
    groups, classes, escaped = 0, 0, False
    before = ""
    for character in pattern:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "[":
            classes += 1
        elif character == "]" and classes and before not in ("[", "[^"):
            classes -= 1
        elif not classes:
            groups += (character == "(") - (character == ")")
        before = before + character if character == "^" and before == "[" else character
        yield groups + classes
