"""DSPy signatures from typed fields: built from real types, never from text.

``dspy.make_signature`` imports whatever a signature string names. Ours is given
Python types that our own parser has allowed, so it finds nothing to import.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, Optional, Union

import dspy
import pydantic
from typing_extensions import TypedDict

from streams.errors import ConfigError
from streams.signatures.default_instructions import default_instructions
from streams.signatures.special_texts import is_image
from streams.signatures.told import holds, told
from streams.signatures.tool_objects import is_tool_record, tool_object
from streams.signatures.tool_records import TOOL
from streams.signatures.types import (
    BYTES,
    IMAGE,
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
    ScalarName,
    TupleListOf,
    TupleOf,
)

_SCALARS: Final[Mapping[ScalarName, type]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "bytes": str,
    "date": str,
    "datetime": str,
}

# What Predict takes for itself when it is called with fields by name.
_TAKEN: Final = frozenset(
    {"signature", "new_signature", "demos", "config", "lm", "prediction"}
)


def dspy_signature(
    inputs: Sequence[Field], outputs: Sequence[Field], instructions: str = ""
) -> type[dspy.Signature]:
    """Return the signature class of these fields.

    Raises:
        ConfigError: DSPy cannot have fields of these names; with every problem.
    """
    problems = _problems(inputs, outputs)
    if problems:
        raise ConfigError(problems)
    fields = {f.name: _declared(f, dspy.InputField) for f in inputs}
    fields |= {f.name: _declared(f, dspy.OutputField) for f in outputs}
    # Always with instructions: without them DSPy builds the class twice.
    told = instructions or default_instructions(
        [f.name for f in inputs], [f.name for f in outputs]
    )
    made: type[dspy.Signature] = dspy.make_signature(fields, told)
    return made


def python_type(kind: FieldType) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912
    """Return the Python type that DSPy and pydantic understand as *kind*.

    What JSON has no form for is text here: an LM reads and writes text, and the checker
    of the field makes the value of it.
    """
    match kind:
        case Scalar():
            return _SCALARS[kind.name]
        case DecimalOf():
            return str
        case Choice():
            return Literal[kind.values]
        case Limited():
            return python_type(kind.inner)
        case TupleListOf():
            return tuple[python_type(kind.item), ...]  # type: ignore[misc] # made at run time
        case ListOf():
            return list[python_type(kind.item)]  # type: ignore[misc] # made at run time
        case TupleOf():
            return tuple[tuple(map(python_type, kind.items))]  # type: ignore[misc] # likewise
        case MapOf():
            return dict[str, python_type(kind.value)]  # type: ignore[misc] # likewise
        case RecordOf() if is_tool_record(kind):
            return dspy.Tool if kind == TOOL else dspy.ToolCalls
        case RecordOf():
            return _record_type(kind)
        case OneOf():
            return Union[tuple(map(python_type, kind.members))]  # noqa: UP007 - likewise
        case Maybe():
            return Optional[python_type(kind.inner)]  # noqa: UP045 - made at run time
        case ImageType():
            return dspy.Image
        case CodeOf():
            return dspy.Code[kind.language]
        case HistoryType():
            return dspy.History


def shown(kind: FieldType, value: Any) -> Any:  # noqa: ANN401, PLR0911 - one case a type
    """Return *value* of *kind* with images and tools as DSPy's own, as LMs see them.

    What has another type by now, as turns of a history may, stays as it is.
    """
    match kind, value:
        case ImageType(), str() if is_image(value):
            return dspy.Image(value)
        case Limited() | Maybe(), _:
            return shown(kind.inner, value)
        case ListOf(), list():
            return [shown(kind.item, item) for item in value]
        case MapOf(), dict():
            return {name: shown(kind.value, each) for name, each in value.items()}
        case RecordOf(), dict() if is_tool_record(kind):
            return tool_object(kind, value)
        case RecordOf(), dict():
            held = [field for field in kind.fields if field.name in value]
            return value | {f.name: shown(f.type, value[f.name]) for f in held}
        case _:
            return value


def _record_type(kind: RecordOf) -> Any:  # noqa: ANN401 - a class
    # A TypedDict, so that values are dicts for everybody, DSPy included.
    held: dict[str, Any] = {}
    for field in kind.fields:
        described = pydantic.Field(description=told(field) or None)
        wanted = python_type(field.type)
        said = Annotated[wanted, described]  # type: ignore[valid-type] # likewise
        held[field.name] = said if field.required else NotRequired[said]
    return TypedDict(kind.name, held)  # type: ignore[operator] # made at run time


def _declared(field: Field, make: Any) -> tuple[Any, Any]:  # noqa: ANN401 - DSPy's
    said = told(field)
    described = {"desc": said} if said else {}
    return python_type(field.type), make(**described)


def _problems(inputs: Sequence[Field], outputs: Sequence[Field]) -> list[str]:
    return [
        *(
            f"{field.name} holds bytes, which no LM can read or write"
            for field in (*inputs, *outputs)
            if holds(field.type, BYTES)
        ),
        *(
            f"{field.name} is an Image, which no LM of ours writes: let it write a "
            "text, and a transform make the image"
            for field in outputs
            if holds(field.type, IMAGE)
        ),
        *(
            f"{field.name} is a Tool, which no LM writes: it writes ToolCalls"
            for field in outputs
            if holds(field.type, TOOL)
        ),
        *name_problems(inputs, outputs),
    ]


def name_problems(inputs: Sequence[Field], outputs: Sequence[Field]) -> list[str]:
    """Return what DSPy has against the names of these fields."""
    given = {field.name for field in inputs}
    both = [f.name for f in outputs if f.name in given]
    names = [field.name for field in (*inputs, *outputs)]
    taken = sorted({n for n in names if n in _TAKEN or hasattr(dspy.Signature, n)})
    return [
        *(f"{name} is both an input and an output" for name in both),
        *(
            f"{name} is a name that DSPy uses itself; rename the field"
            for name in taken
        ),
    ]
