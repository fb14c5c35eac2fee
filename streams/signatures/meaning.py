"""From a tree to types: look names up in a short list of allowed ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.signatures.alternatives import clash, united
from streams.signatures.limits import is_limit, limited
from streams.signatures.patterns import MAX_WEIGHT, weight_of
from streams.signatures.scalars import is_int64
from streams.signatures.special_texts import language_problem
from streams.signatures.tokens import Position, Problem
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.tree import (
    Applied,
    Argument,
    Between,
    Constant,
    Dots,
    Either,
    Named,
    TypeNode,
)
from streams.signatures.tuples import ANY_LENGTH, tuple_problem
from streams.signatures.types import (
    BOOL,
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    IMAGE,
    INT,
    MAX_DIGITS,
    STR,
    Choice,
    CodeOf,
    DecimalOf,
    FieldType,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    RecordOf,
    Scalar,
    TupleListOf,
    TupleOf,
)
from streams.signatures.unknown import unknown_type

SCALARS: Final[Mapping[str, Scalar]] = {
    kind.name: kind for kind in (STR, INT, FLOAT, BOOL, BYTES, DATE, DATETIME)
}
PLAIN: Final[Mapping[str, FieldType]] = {
    **SCALARS,
    "Image": IMAGE,
    "Tool": TOOL,
    "ToolCalls": TOOL_CALLS,
}
"""Types that are written as a name alone."""

_BOUNDED: Final = frozenset({"str", "int", "float", "bytes", "Image"})


@dataclass(slots=True)
class Meaning:
    """Turns type trees into types; what has no meaning goes to *problems*."""

    problems: list[Problem] = field(default_factory=list)
    types: Mapping[str, RecordOf] = field(default_factory=dict)
    """Declared ones, by name."""
    weight: int = 0
    """Of the patterns so far."""

    def of(self, node: Argument) -> FieldType | None:
        """Return the type that *node* writes down, or None after a problem."""
        match node:
            case Applied():
                return self._applied(node)
            case Named():
                return PLAIN.get(node.name) or self._declared(node)
            case Constant():
                return self._wrong(node.at, "a value is no type; use Literal[...]")
            case Either():
                return self._either(node.at, node.members)
            case Between() | Dots():
                return self._wrong(node.at, "expected a type here")

    def _declared(self, node: Named | Applied) -> FieldType | None:
        if isinstance(node, Named) and node.name in self.types:
            return self.types[node.name]
        if node.name in self.types:
            return self._wrong(node.at, f"{node.name} takes no arguments")
        return self._wrong(node.at, unknown_type(node.name, self.types))

    def _applied(self, node: Applied) -> FieldType | None:  # noqa: C901, PLR0911 - one case a name
        match node.name:
            case "list":
                return self._list(node)
            case "dict":
                return self._dict(node)
            case "tuple":
                return self._tuple(node)
            case "Decimal":
                return self._decimal(node)
            case "Optional":
                return self._optional(node)
            case "Union":
                return self._union(node)
            case "Literal":
                return self._literal(node)
            case "Code":
                return self._code(node)
            case name if name in _BOUNDED:
                return self._limited(PLAIN[name], node.arguments)
            case name if name in PLAIN:
                return self._wrong(node.at, f"{name} takes no arguments")
            case _:
                return self._declared(node)

    def _list(self, node: Applied) -> FieldType | None:
        kinds, limits = _split(node.arguments)
        if len(kinds) != 1:
            return self._wrong(node.at, "a list has one type of items: list[str]")
        item = self.of(kinds[0])
        return item and self._limited(ListOf(item), limits)

    def _dict(self, node: Applied) -> FieldType | None:
        kinds, limits = _split(node.arguments)
        match kinds:
            case (Named(name="str"), value):
                kind = self.of(value)
                return kind and self._limited(MapOf(kind), limits)
            case _:
                return self._wrong(node.at, "a dict is written dict[str, T]")

    def _tuple(self, node: Applied) -> FieldType | None:
        if any(isinstance(argument, Dots) for argument in node.arguments):
            return self._tuple_list(node)
        items = [self.of(argument) for argument in node.arguments]
        known = tuple(item for item in items if item is not None)
        if len(known) < len(items):
            return None
        problem = tuple_problem(known)
        return self._wrong(node.at, problem) if problem else TupleOf(known)

    def _tuple_list(self, node: Applied) -> FieldType | None:
        match _split(node.arguments):
            case [argument, Dots()], limits if not isinstance(argument, Dots):
                item = self.of(argument)
                return item and self._limited(TupleListOf(item), limits)
            case _:
                return self._wrong(node.at, ANY_LENGTH)

    def _decimal(self, node: Applied) -> FieldType | None:
        match [a.value for a in node.arguments[:2] if isinstance(a, Constant)]:
            case [int(digits), int(places)]:
                if 0 <= places <= digits and 1 <= digits <= MAX_DIGITS:
                    exact = DecimalOf(digits, places)
                    return self._limited(exact, node.arguments[2:])
                return self._wrong(
                    node.at,
                    f"a Decimal has 1 to {MAX_DIGITS} digits, and no more of them "
                    "behind the point",
                )
            case _:
                return self._wrong(
                    node.at,
                    "a Decimal says its digits, and how many are behind the point: "
                    "Decimal[12, 2]",
                )

    def _code(self, node: Applied) -> FieldType | None:
        match node.arguments[0]:
            case Constant(value=str(language)):
                problem = language_problem(language)
            case _:
                language, problem = "", language_problem("")
        if problem is not None:
            return self._wrong(node.at, problem)
        return self._limited(CodeOf(language), node.arguments[1:])

    def _optional(self, node: Applied) -> FieldType | None:
        if len(node.arguments) != 1:
            return self._wrong(node.at, "Optional takes one type: Optional[str]")
        inner = self.of(node.arguments[0])
        return inner and _maybe(inner)

    def _union(self, node: Applied) -> FieldType | None:
        if any(isinstance(a, Between | Dots) for a in node.arguments):
            return self._wrong(node.at, "Union takes types: Union[str, int]")
        members = [a for a in node.arguments if not isinstance(a, Between | Dots)]
        return self._either(node.at, members)

    def _either(self, at: Position, members: Sequence[TypeNode]) -> FieldType | None:
        """Return the union of *members*: flat, with None outside of it."""
        found = [self.of(member) for member in members if not _is_none(member)]
        kinds = [kind for kind in found if kind is not None]
        if len(kinds) < len(found):
            return None
        if not kinds:
            return self._wrong(at, "a field that can only be None says nothing")
        optional = len(found) < len(members)
        flat: list[FieldType] = []
        for kind in kinds:
            optional = optional or isinstance(kind, Maybe)
            inner = kind.inner if isinstance(kind, Maybe) else kind
            flat += inner.members if isinstance(inner, OneOf) else [inner]
        problem = clash(flat)
        if problem is not None:
            return self._wrong(at, problem)
        return united(flat, optional=optional)

    def _literal(self, node: Applied) -> FieldType | None:
        values = [a.value for a in node.arguments if isinstance(a, Constant)]
        if len(values) < len(node.arguments):
            return self._wrong(node.at, "Literal takes values: Literal['a', 'b']")
        if len({repr(v) for v in values}) < len(values):
            return self._wrong(node.at, "Literal names a value twice")
        if all(isinstance(v, str) for v in values) or all(map(is_int64, values)):
            return Choice(tuple(values))
        return self._wrong(node.at, "Literal takes texts only, or whole numbers only")

    def _limited(
        self, inner: FieldType, limits: Sequence[Argument]
    ) -> FieldType | None:
        if not limits:
            return inner
        for node in limits:
            if isinstance(node, Constant):
                self.weight += weight_of(str(node.value))
            if self.weight > MAX_WEIGHT:
                return self._wrong(node.at, "patterns up to here are too large")
        return limited(inner, limits, self._wrong)

    def _wrong(self, at: Position, sentence: str) -> FieldType | None:
        self.problems.append(Problem(at=at, sentence=sentence))
        return None


def _split(arguments: Sequence[Argument]) -> tuple[list[Argument], list[Argument]]:
    """Return the arguments that are types, and the limits behind them."""
    for end, argument in enumerate(arguments):
        if is_limit(argument):
            return list(arguments[:end]), list(arguments[end:])
    return list(arguments), []


def _maybe(kind: FieldType) -> FieldType:
    return kind if isinstance(kind, Maybe) else Maybe(kind)


def _is_none(node: TypeNode) -> bool:
    return isinstance(node, Named) and node.name == "None"
