"""A ``dspy.Signature`` class that says all that our fields say, for use in Python.

Stages ask through ``to_dspy.py``, whose classes are made for LMs: dates are text there.
Here they are dates, bounds are constraints, records are pydantic models; and
``from_class.py`` reads the same fields back.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Optional, Union

import dspy
import pydantic

from streams.errors import ConfigError
from streams.signatures.constraints import anchored
from streams.signatures.default_instructions import default_instructions
from streams.signatures.to_dspy import name_problems
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.types import (
    BOOL,
    BYTES,
    DATE,
    FLOAT,
    INT,
    STR,
    Choice,
    CodeOf,
    DecimalOf,
    Field,
    FieldType,
    HistoryType,
    ImageType,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    RecordOf,
    Scalar,
    TupleListOf,
    TupleOf,
)

_SCALARS: Final[Mapping[FieldType, Any]] = {
    STR: str,
    INT: int,
    FLOAT: float,
    BOOL: bool,
    BYTES: bytes,
    DATE: date,
}


def signature_class(
    name: str,
    inputs: Sequence[Field],
    outputs: Sequence[Field],
    instructions: str = "",
) -> type[dspy.Signature]:
    """Return the class *name* of these fields.

    Raises:
        ConfigError: DSPy cannot have fields of these names; with every problem.
    """
    problems = name_problems(inputs, outputs)
    if problems:
        raise ConfigError(problems)
    maker = _Maker()
    fields = {f.name: maker.declared(f, dspy.InputField) for f in inputs}
    fields |= {f.name: maker.declared(f, dspy.OutputField) for f in outputs}
    said = instructions or default_instructions(
        [f.name for f in inputs], [f.name for f in outputs]
    )
    made: type[dspy.Signature] = dspy.make_signature(fields, said, name)
    return made


class _Maker:
    """Makes Python types; one model for each record."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}

    def declared(self, field: Field, make: Any) -> tuple[Any, Any]:  # noqa: ANN401 - DSPy's
        """Return annotation and field as ``make_signature`` takes them."""
        said: dict[str, Any] = {"desc": field.description} if field.description else {}
        if not field.required:
            said["default"] = field.default
        return self.type(field.type), make(**said)

    def type(self, kind: FieldType) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912
        """Return the Python type of *kind*: one case a type."""
        match kind:
            case Scalar():
                return _SCALARS.get(kind, pydantic.AwareDatetime)
            case DecimalOf():
                return self._limited(Limited(kind))
            case Limited():
                return self._limited(kind)
            case Choice():
                return Literal[kind.values]
            case TupleListOf():
                return tuple[self.type(kind.item), ...]  # type: ignore[misc] # made at run time
            case ListOf():
                return list[self.type(kind.item)]  # type: ignore[misc] # made at run time
            case TupleOf():
                return tuple[tuple(map(self.type, kind.items))]  # type: ignore[misc] # likewise
            case MapOf():
                return dict[str, self.type(kind.value)]  # type: ignore[misc] # likewise
            case RecordOf() if kind == TOOL:
                return dspy.Tool
            case RecordOf() if kind == TOOL_CALLS:
                return dspy.ToolCalls
            case RecordOf():
                return self._model(kind)
            case OneOf():
                return Union[tuple(map(self.type, kind.members))]  # noqa: UP007 - likewise
            case Maybe():
                return Optional[self.type(kind.inner)]  # noqa: UP045 - likewise
            case ImageType():
                return dspy.Image
            case CodeOf():
                return dspy.Code[kind.language]
            case HistoryType():
                return dspy.History

    def _limited(self, kind: Limited) -> Any:  # noqa: ANN401 - an annotation
        said: dict[str, Any] = {}
        inner: Any
        if isinstance(kind.inner, DecimalOf):
            inner = Decimal
            said = {
                "max_digits": kind.inner.digits,
                "decimal_places": kind.inner.places,
            }
        else:
            inner = self.type(kind.inner)
        low, high = ("min_length", "max_length")
        if isinstance(kind.inner, DecimalOf) or kind.inner in (INT, FLOAT):
            low, high = ("ge", "le")
        said |= {low: kind.low, high: kind.high}
        if kind.pattern is not None:
            said["pattern"] = anchored(kind.pattern)
        said = {name: value for name, value in said.items() if value is not None}
        return Annotated[inner, pydantic.Field(**said)]

    def _model(self, kind: RecordOf) -> Any:  # noqa: ANN401 - a class
        if kind.name not in self._models:
            held: dict[str, Any] = {
                f.name: self.declared(f, _plain_field) for f in kind.fields
            }
            self._models[kind.name] = pydantic.create_model(kind.name, **held)
        return self._models[kind.name]


def _plain_field(**said: Any) -> Any:  # noqa: ANN401 - a FieldInfo
    if "desc" in said:
        said["description"] = said.pop("desc")
    return pydantic.Field(**said)
