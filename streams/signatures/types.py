"""The types that a field can have: one small frozen class per kind of type."""

from dataclasses import dataclass
from typing import Any, Literal

ScalarName = Literal["str", "int", "float", "bool"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text, a whole number of 64 bits, a number, or true and false."""

    name: ScalarName

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values, all text or all whole numbers: ``Literal['a', 'b']``."""

    values: tuple[str, ...] | tuple[int, ...]

    def __str__(self) -> str:
        return f"Literal[{', '.join(map(repr, self.values))}]"


@dataclass(frozen=True, slots=True)
class ListOf:
    """Values of one type, in order: ``list[T]``."""

    item: "FieldType"

    def __str__(self) -> str:
        return f"list[{self.item}]"


@dataclass(frozen=True, slots=True)
class MapOf:
    """Values of one type under text keys: ``dict[str, T]``."""

    value: "FieldType"

    def __str__(self) -> str:
        return f"dict[str, {self.value}]"


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value or None: ``Optional[T]``; never nested."""

    inner: "FieldType"

    def __str__(self) -> str:
        return f"{self.inner} | None"


@dataclass(frozen=True, slots=True)
class HistoryType:
    """The session's ``dspy.History``: an input called ``history``, and no other.

    Its value is not among the fields that a stage is given: it is ``run.history``.
    """

    def __str__(self) -> str:
        return "History"


FieldType = Scalar | Choice | ListOf | MapOf | Maybe | HistoryType

STR = Scalar("str")
INT = Scalar("int")
FLOAT = Scalar("float")
BOOL = Scalar("bool")
HISTORY = HistoryType()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One named input or output with its type."""

    name: str
    type: FieldType
    description: str = ""
    """What an LM and a reader of the schema are told about it."""
    required: bool = True
    """False where *default* stands in for a missing value."""
    default: Any = None
    """A value of *type*; means something only if the field is not required."""
