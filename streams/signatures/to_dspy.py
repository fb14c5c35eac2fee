"""DSPy signatures from typed fields: built from real types, never from text.

``dspy.make_signature`` imports whatever a signature string names. Ours is given
Python types that our own parser has allowed, so it finds nothing to import.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, Optional

import dspy

from streams.errors import ConfigError
from streams.signatures.types import (
    Choice,
    Field,
    FieldType,
    HistoryType,
    ListOf,
    MapOf,
    Maybe,
    Scalar,
)

_SCALARS: Final = {"str": str, "int": int, "float": float, "bool": bool}

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
    told = instructions or default_instructions(inputs, outputs)
    made: type[dspy.Signature] = dspy.make_signature(fields, told)
    return made


def default_instructions(inputs: Sequence[Field], outputs: Sequence[Field]) -> str:
    """Return DSPy's own sentence for a signature without instructions."""
    given = ", ".join(f"`{field.name}`" for field in inputs)
    wanted = ", ".join(f"`{field.name}`" for field in outputs)
    return f"Given the fields {given}, produce the fields {wanted}."


def python_type(kind: FieldType) -> Any:  # noqa: ANN401 - types have many types
    """Return the Python type that DSPy and pydantic understand as *kind*."""
    match kind:
        case Scalar():
            return _SCALARS[kind.name]
        case Choice():
            return Literal[kind.values]
        case ListOf():
            return list[python_type(kind.item)]  # type: ignore[misc] # made at run time
        case MapOf():
            return dict[str, python_type(kind.value)]  # type: ignore[misc] # likewise
        case Maybe():
            return Optional[python_type(kind.inner)]  # noqa: UP045 - made at run time
        case HistoryType():
            return dspy.History


def _declared(field: Field, make: Any) -> tuple[Any, Any]:  # noqa: ANN401 - DSPy's
    described = {"desc": field.description} if field.description else {}
    return python_type(field.type), make(**described)


def _problems(inputs: Sequence[Field], outputs: Sequence[Field]) -> list[str]:
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
