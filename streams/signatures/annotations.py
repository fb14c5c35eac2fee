"""Types from Python annotations: of functions, pydantic models and DSPy's classes.

``Annotated[int, Field(ge=1)]`` is ``int[1..]``, a nested model is a record. What a
signature cannot say without losing something is refused, with the path of its field.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import EnumMeta
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)

from streams.signatures.alternatives import clash, united
from streams.signatures.constraints import Constraints, constraints_of
from streams.signatures.dspy_objects import of_dspy
from streams.signatures.limits import limited
from streams.signatures.patterns import MAX_WEIGHT, weight_of
from streams.signatures.scalars import is_int64
from streams.signatures.special_texts import language_problem
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.tuples import tuple_problem
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
    RecordOf,
    TupleListOf,
    TupleOf,
)
from streams.signatures.unknown import BARE

_SCALARS: Final[Mapping[Any, FieldType]] = {
    str: STR,
    int: INT,
    float: FLOAT,
    bool: BOOL,
    bytes: BYTES,
    date: DATE,
    datetime: DATETIME,
}

_DSPYS: Final[Mapping[str, FieldType]] = {
    "Image": IMAGE,
    "Tool": TOOL,
    "ToolCalls": TOOL_CALLS,
}

Hint: TypeAlias = Any
"""An annotation, whatever stands there."""

RecordReader = Callable[[Hint, str], RecordOf | None]
"""From a class of fields and its path to a record; None after a problem."""


def no_records(_model: object, _path: str) -> None:
    """Know no classes of fields: a function would be given dicts for them."""


@dataclass(slots=True, kw_only=True)
class Annotations:
    """Reads annotations; what has no meaning goes to *problems*, with its path."""

    record: RecordReader = no_records
    problems: list[str] = field(default_factory=list)
    weight: int = 0
    """Of the patterns so far."""

    def type(
        self, hint: Hint, path: str, within: Constraints | None = None
    ) -> FieldType | None:
        """Return the type of *hint*, whose values keep *within* as well."""
        if _origin(hint) is Annotated:
            inner, *said = get_args(hint)
            found, problem = constraints_of(said)
            if problem is not None:
                return self.wrong(path, problem)
            return self.type(inner, path, found.and_those_of(within))
        within = within or Constraints()
        match _origin(hint), get_args(hint):
            case (kind, members) if kind in (Union, UnionType):
                return self._union(members, path, within)
            case (None, _) if hint is Decimal:
                return self._decimal(path, within)
        found_type = self._plain(hint, path)
        return None if found_type is None else self._limited(found_type, path, within)

    def wrong(self, path: str, sentence: str) -> FieldType | None:
        """Note a problem at *path*; return None, for there is no type then."""
        self.problems.append(f"{path}: {sentence}")
        return None

    def _plain(self, hint: Hint, path: str) -> FieldType | None:
        match _origin(hint), get_args(hint):
            case (kind, (item,)) if kind is list:
                return _around(ListOf, self.type(item, f"{path}[]"))
            case (kind, (key, item)) if kind is dict and key is str:
                return _around(MapOf, self.type(item, f"{path}{{}}"))
            case (kind, values) if kind is Literal:
                return self._choice(values, path)
            case (kind, items) if kind is tuple:
                return self._tuple(items, path)
            case (None, _) if isinstance(hint, type):
                return self._class(hint, path)
            case _:
                return self._unknown(hint, path)

    def _class(self, hint: Hint, path: str) -> FieldType | None:
        made = _SCALARS.get(hint) or _dspy_type(hint) or _aware(hint)
        if isinstance(made, RecordOf) and self.record is no_records:
            return self._unknown(hint, path)
        if made is not None:
            return made
        if self.record is no_records or not hasattr(hint, "model_fields"):
            return self._unknown(hint, path)
        return self._unknown(hint, path) if of_dspy(hint) else self.record(hint, path)

    def _unknown(self, hint: Hint, path: str) -> FieldType | None:
        name = getattr(hint, "__name__", str(hint))
        if isinstance(hint, EnumMeta):
            return self.wrong(path, f"{name} is an Enum: write Literal['a', 'b']")
        sentence = BARE.get(name, f"{name} is no type that a field can have")
        return self.wrong(path, sentence)

    def _decimal(self, path: str, within: Constraints) -> FieldType | None:
        digits, places = within.max_digits, within.decimal_places
        if digits is None or places is None or not 0 <= places <= digits <= MAX_DIGITS:
            return self.wrong(
                path,
                "a Decimal says its digits, and how many are behind the point: "
                "Field(max_digits=12, decimal_places=2)",
            )
        return self._limited(DecimalOf(digits, places), path, within)

    def _limited(
        self, inner: FieldType, path: str, within: Constraints
    ) -> FieldType | None:
        if within.pattern is not None:
            self.weight += weight_of(within.pattern)
            if self.weight > MAX_WEIGHT:
                return self.wrong(path, "patterns up to here are too large")
        limits, problem = within.limits(inner)
        if problem is not None:
            return self.wrong(path, problem)
        return limited(inner, limits, lambda _, sentence: self.wrong(path, sentence))

    def _union(
        self, members: Sequence[Any], path: str, within: Constraints
    ) -> FieldType | None:
        wanted = [member for member in members if member is not NoneType]
        if len(wanted) == 1:
            inner = self.type(wanted[0], path, within)
            return inner if inner is None or isinstance(inner, Maybe) else Maybe(inner)
        if within != Constraints():
            return self.wrong(path, "bounds are of one type, not of a union")
        kinds = self._all(wanted, path)
        if kinds is None:
            return None
        problem = clash(kinds)
        if problem is not None:
            return self.wrong(path, problem)
        return united(kinds, optional=NoneType in members)

    def _tuple(self, items: Sequence[Any], path: str) -> FieldType | None:
        if Ellipsis in items:
            # Python itself takes it behind one type only.
            return _around(TupleListOf, self.type(items[0], f"{path}[]"))
        kinds = self._all(items, path)
        if not kinds:
            return None
        problem = tuple_problem(kinds)
        return TupleOf(kinds) if problem is None else self.wrong(path, problem)

    def _choice(self, values: tuple[Any, ...], path: str) -> FieldType | None:
        if all(type(v) is str for v in values) or all(map(is_int64, values)):
            return Choice(values)
        return self.wrong(path, "Literal takes texts only, or whole numbers only")

    def _all(self, hints: Iterable[Any], path: str) -> tuple[FieldType, ...] | None:
        found = [self.type(hint, path) for hint in hints]
        kinds = tuple(kind for kind in found if kind is not None)
        return kinds if len(kinds) == len(found) else None


def is_history(hint: object) -> bool:
    """Say whether *hint* is ``dspy.History``, which no value of ours has."""
    return of_dspy(hint) and getattr(hint, "__name__", "") == "History"


def _origin(hint: object) -> Any:  # noqa: ANN401 - list, Union, Annotated, None, ...
    return get_origin(hint)


def _around(
    make: Callable[[FieldType], FieldType], inner: FieldType | None
) -> FieldType | None:
    return None if inner is None else make(inner)


def _dspy_type(hint: Hint) -> FieldType | None:
    if not of_dspy(hint):
        return None
    if hint.__name__ in _DSPYS:
        return _DSPYS[hint.__name__]
    if any(made.__name__ == "Code" for made in hint.__mro__):
        language = str(hint.language)
        return CodeOf(language) if language_problem(language) is None else None
    return None


def _aware(hint: Hint) -> FieldType | None:
    of_pydantic = str(getattr(hint, "__module__", "")).startswith("pydantic.")
    return DATETIME if of_pydantic and hint.__name__ == "AwareDatetime" else None
