"""From a tree to types: look names up in a short list of allowed ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from streams.signatures.tokens import Position, Problem
from streams.signatures.tree import Applied, Constant, Either, Named, TypeNode
from streams.signatures.types import (
    BOOL,
    FLOAT,
    INT,
    STR,
    Choice,
    FieldType,
    ListOf,
    MapOf,
    Maybe,
    Scalar,
)
from streams.signatures.values import is_int64

SCALARS: Final[Mapping[str, Scalar]] = {
    "str": STR,
    "int": INT,
    "float": FLOAT,
    "bool": BOOL,
}
_ALLOWED: Final = (*SCALARS, "list", "dict", "Optional", "Literal", "None")
_BARE: Final = {
    "list": "say of what: list[str]",
    "dict": "say of what: dict[str, str]",
    "Optional": "say of what: Optional[str]",
    "Literal": "say which values: Literal['a', 'b']",
    "None": "a field that can only be None says nothing",
}


@dataclass(slots=True)
class Meaning:
    """Turns type trees into types; what has no meaning goes to *problems*."""

    problems: list[Problem] = field(default_factory=list)

    def of(self, node: TypeNode) -> FieldType | None:
        """Return the type that *node* writes down, or None after a problem."""
        match node:
            case Named():
                return SCALARS.get(node.name) or self._wrong(node.at, _unknown(node))
            case Constant():
                return self._wrong(node.at, "a value is no type; use Literal[...]")
            case Either():
                return self._either(node)
            case Applied():
                return self._applied(node)

    def _applied(self, node: Applied) -> FieldType | None:
        match node.name:
            case "list":
                return self._list(node)
            case "dict":
                return self._dict(node)
            case "Optional":
                return self._optional(node)
            case "Literal":
                return self._literal(node)
            case name if name in SCALARS:
                return self._wrong(node.at, f"{name} takes no arguments")
            case _:
                return self._wrong(node.at, _unknown(node))

    def _list(self, node: Applied) -> FieldType | None:
        if len(node.arguments) != 1:
            return self._wrong(node.at, "a list has one type of items: list[str]")
        item = self.of(node.arguments[0])
        return item and ListOf(item)

    def _dict(self, node: Applied) -> FieldType | None:
        match node.arguments:
            case (Named(name="str"), value):
                kind = self.of(value)
                return kind and MapOf(kind)
            case _:
                return self._wrong(node.at, "a dict is written dict[str, T]")

    def _optional(self, node: Applied) -> FieldType | None:
        if len(node.arguments) != 1:
            return self._wrong(node.at, "Optional takes one type: Optional[str]")
        return self._maybe(node.arguments[0])

    def _either(self, node: Either) -> FieldType | None:
        kinds = [m for m in node.members if not _is_none(m)]
        if len(kinds) == len(node.members) or len(kinds) != 1:
            return self._wrong(node.at, "'|' joins one type and None: str | None")
        return self._maybe(kinds[0])

    def _maybe(self, node: TypeNode) -> FieldType | None:
        inner = self.of(node)
        return inner if inner is None or isinstance(inner, Maybe) else Maybe(inner)

    def _literal(self, node: Applied) -> FieldType | None:
        values = [a.value for a in node.arguments if isinstance(a, Constant)]
        if len(values) < len(node.arguments):
            return self._wrong(node.at, "Literal takes values: Literal['a', 'b']")
        if len({repr(v) for v in values}) < len(values):
            return self._wrong(node.at, "Literal names a value twice")
        if all(isinstance(v, str) for v in values) or all(map(is_int64, values)):
            return Choice(tuple(values))
        return self._wrong(node.at, "Literal takes texts only, or whole numbers only")

    def _wrong(self, at: Position, sentence: str) -> FieldType | None:
        self.problems.append(Problem(at=at, sentence=sentence))
        return None


def _is_none(node: TypeNode) -> bool:
    return isinstance(node, Named) and node.name == "None"


def _unknown(node: Named | Applied) -> str:
    if node.name in _BARE:
        return _BARE[node.name]
    close = get_close_matches(node.name, _ALLOWED, n=1) or get_close_matches(
        node.name.lower(), _ALLOWED, n=1
    )
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(_ALLOWED)}"
    return f"unknown type {node.name}; {hint}"
