"""Read the signature of a Python function: it takes inputs and returns outputs.

    class Softened(TypedDict):
        reply: str

    def soften(reply: str, tone: str = "warm") -> Softened: ...

Parameters are inputs, their defaults too; the keys of the ``TypedDict`` it returns are
outputs. A parameter without annotation takes the type of what it is given.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import (
    Any,
    Final,
    get_type_hints,
    is_typeddict,
)

from streams.signatures.annotations import Annotations
from streams.signatures.misfit import MisfitError
from streams.signatures.names import name_problem
from streams.signatures.parse import HISTORY_NAME, Declared, Reading
from streams.signatures.types import (
    FieldType,
    Maybe,
)
from streams.signatures.values import checker

_UNNAMED: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)


def read_function(function: Callable[..., Any]) -> Reading:
    """Return the inputs and outputs of *function*, and why it has none."""
    hints, parameters, problems = _described(function)
    if problems:
        return Reading(problems=tuple(problems))
    inputs = [_input(p, hints.get(p.name), problems) for p in parameters]
    outputs = _outputs(hints.get("return"), problems)
    if not inputs:
        problems.append("it takes no inputs")
    return Reading(
        inputs=tuple(declared for declared in inputs if declared is not None),
        outputs=tuple(outputs),
        problems=tuple(problems),
    )


def read_parameters(function: Callable[..., Any]) -> Reading:
    """Return the inputs of *function*, whatever it returns; it may have none."""
    hints, parameters, problems = _described(function)
    inputs = [_input(p, hints.get(p.name), problems) for p in parameters]
    return Reading(
        inputs=tuple(declared for declared in inputs if declared is not None),
        problems=tuple(problems),
    )


def _described(
    function: Callable[..., Any],
) -> tuple[Mapping[str, Any], Sequence[inspect.Parameter], list[str]]:
    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
    except (NameError, TypeError, ValueError) as error:
        return {}, (), [f"its signature cannot be read: {error}"]
    return hints, tuple(parameters), []


def call_problem(function: Callable[..., Any], names: Iterator[str]) -> str | None:
    """Say why *function* cannot be called with these names; None if it can."""
    try:
        inspect.signature(function).bind(**dict.fromkeys(names))
    except (TypeError, ValueError) as error:
        return f"cannot be called with these inputs: {error}"
    return None


def field_type(hint: Any) -> FieldType | None:  # noqa: ANN401 - an annotation
    """Return the type that a Python annotation stands for; None for one of no ours."""
    return Annotations().type(hint, "")


def _input(
    parameter: inspect.Parameter,
    hint: object,
    problems: list[str],
) -> Declared | None:
    name = parameter.name
    problem = name_problem(name)
    if parameter.kind in _UNNAMED:
        problem = f"its parameter {name} cannot be given by name"
    elif name == HISTORY_NAME:
        problem = "history is for stages that ask an LM"
    kind = None if hint is None else field_type(hint)
    if problem is None and hint is not None and kind is None:
        problem = f"its parameter {name} has a type that no field can have"
    required = parameter.default is inspect.Parameter.empty
    default = None if required else parameter.default
    if problem is None and not required:
        default, problem = _default(name, kind, default)
    if problem is not None:
        problems.append(problem)
        return None
    return Declared(name=name, type=kind, required=required, default=default)


def _default(
    name: str, kind: FieldType | None, value: object
) -> tuple[object, str | None]:
    if kind is None:
        return None, f"its parameter {name} has a default and needs a type"
    try:
        return checker(kind)(value), None
    except MisfitError as misfit:
        return None, f"default of {name}: {misfit}"


def _outputs(hint: Any, problems: list[str]) -> Iterator[Declared]:  # noqa: ANN401
    if not is_typeddict(hint):
        problems.append("say what it returns: a TypedDict, or `signature`")
        return
    for name, kind_hint in get_type_hints(hint, include_extras=True).items():
        kind = field_type(kind_hint)
        problem = name_problem(name)
        if problem is None and (kind is None or name in hint.__optional_keys__):
            problem = f"its output {name} has a type that no field can have"
        if problem is None:
            yield Declared(name=name, type=kind, required=not isinstance(kind, Maybe))
        else:
            problems.append(problem)
