"""The types that a field can have: one small frozen class per kind of type.

``str()`` of a type is how a signature writes it, and reads back as the same type.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from streams.signatures.tokens import quoted

MAX_DIGITS: Final = 38
"""Of a Decimal: what databases and Avro's libraries in other languages can hold."""

ScalarName = Literal["str", "int", "float", "bool", "bytes", "date", "datetime"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value without parts; what each of them holds says ``scalars.py``."""

    name: ScalarName

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class DecimalOf:
    """An exact number of so many digits, *places* of them behind the point."""

    digits: int
    places: int

    def __str__(self) -> str:
        return f"Decimal[{self.digits}, {self.places}]"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values, all text or all whole numbers: ``Literal['a', 'b']``."""

    values: tuple[str, ...] | tuple[int, ...]

    def __str__(self) -> str:
        shown = (quoted(v) if isinstance(v, str) else str(v) for v in self.values)
        return f"Literal[{', '.join(shown)}]"


@dataclass(frozen=True, slots=True)
class ListOf:
    """Values of one type, in order: ``list[T]``."""

    item: "FieldType"

    def __str__(self) -> str:
        return f"list[{self.item}]"


@dataclass(frozen=True, slots=True)
class TupleListOf(ListOf):
    """A list that is a tuple in Python, and nowhere else: ``tuple[T, ...]``."""

    def __str__(self) -> str:
        return f"tuple[{self.item}, ...]"


@dataclass(frozen=True, slots=True)
class TupleOf:
    """A fixed number of values, each of its own type: ``tuple[str, int]``."""

    items: tuple["FieldType", ...]

    def __str__(self) -> str:
        return f"tuple[{', '.join(map(str, self.items))}]"


@dataclass(frozen=True, slots=True)
class MapOf:
    """Values of one type under text keys: ``dict[str, T]``."""

    value: "FieldType"

    def __str__(self) -> str:
        return f"dict[str, {self.value}]"


@dataclass(frozen=True, slots=True)
class RecordOf:
    """Named fields in a dict, declared under ``types:``; known by its *name*."""

    name: str
    fields: tuple["Field", ...]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Limited:
    """A type whose values have bounds: ``float[0..1]``, ``str[1..80, '[a-z]+']``.

    *low* and *high* are of the value of a number and of the length of anything else;
    both belong to the range, and None is no bound. A *pattern* is of a whole text.
    """

    inner: "FieldType"
    low: float | Decimal | None = None
    high: float | Decimal | None = None
    pattern: str | None = None

    def __str__(self) -> str:
        said = []
        if self.low is not None or self.high is not None:
            said.append(f"{shown_bound(self.low)}..{shown_bound(self.high)}")
        if self.pattern is not None:
            said.append(quoted(self.pattern))
        inner, limits = str(self.inner), ", ".join(said)
        if inner.endswith("]"):
            return f"{inner[:-1]}, {limits}]"
        return f"{inner}[{limits}]"


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value of one of several types that can be told apart: ``str | int``."""

    members: tuple["FieldType", ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.members))


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value or None: ``Optional[T]``; never nested."""

    inner: "FieldType"

    def __str__(self) -> str:
        return f"{self.inner} | None"


@dataclass(frozen=True, slots=True)
class ImageType:
    """An image: the text of its address, or of a data URI; see ``special_texts.py``."""

    def __str__(self) -> str:
        return "Image"


@dataclass(frozen=True, slots=True)
class CodeOf:
    """The text of a program in some *language*: ``Code['python']``."""

    language: str

    def __str__(self) -> str:
        return f"Code[{quoted(self.language)}]"


@dataclass(frozen=True, slots=True)
class HistoryType:
    """The session's ``dspy.History``: an input of a stage, under any name.

    Its value is not among the fields that a stage is given: it is ``run.history``.
    """

    def __str__(self) -> str:
        return "History"


FieldType = (
    Scalar
    | DecimalOf
    | Choice
    | ListOf
    | TupleListOf
    | TupleOf
    | MapOf
    | RecordOf
    | Limited
    | OneOf
    | Maybe
    | ImageType
    | CodeOf
    | HistoryType
)

STR = Scalar("str")
INT = Scalar("int")
FLOAT = Scalar("float")
BOOL = Scalar("bool")
BYTES = Scalar("bytes")
DATE = Scalar("date")
DATETIME = Scalar("datetime")
IMAGE = ImageType()
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


# Up to here every whole number is a float, and reads back as itself.
_EXACT: Final = 2.0**53


def shown_bound(value: float | Decimal | None) -> str:
    """Return a bound as it is written: whole ones without a point."""
    if value is None:
        return ""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
    return str(int(value)) if whole else str(value)
