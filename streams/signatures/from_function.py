"""Read the signature of a Python function: it takes inputs and returns outputs.

    class Softened(TypedDict):
        reply: str

    def soften(reply: str, tone: str = "warm") -> Softened: ...

Parameters are inputs, their defaults too; the keys of the ``TypedDict`` it returns are
outputs. A parameter without annotation takes the type of what it is given.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from types import NoneType, UnionType
from typing import (
    Any,
    Final,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from streams.signatures.alternatives import clash, united
from streams.signatures.misfit import MisfitError
from streams.signatures.names import name_problem
from streams.signatures.parse import HISTORY_NAME, Declared, Reading
from streams.signatures.scalars import is_int64
from streams.signatures.tuples import tuple_problem
from streams.signatures.types import (
    BOOL,
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    STR,
    Choice,
    FieldType,
    ListOf,
    MapOf,
    Maybe,
    TupleOf,
)
from streams.signatures.values import checker

_SCALARS: Final[Mapping[Any, FieldType]] = {
    str: STR,
    int: INT,
    float: FLOAT,
    bool: BOOL,
    bytes: BYTES,
    date: DATE,
    datetime: DATETIME,
}
_UNNAMED: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)


def read_function(function: Callable[..., Any]) -> Reading:
    """Return the inputs and outputs of *function*, and why it has none."""
    try:
        hints = get_type_hints(function)
        parameters = inspect.signature(function).parameters.values()
    except (NameError, TypeError, ValueError) as error:
        return Reading(problems=(f"its signature cannot be read: {error}",))
    problems: list[str] = []
    inputs = [_input(p, hints.get(p.name), problems) for p in parameters]
    outputs = _outputs(hints.get("return"), problems)
    if not inputs:
        problems.append("it takes no inputs")
    return Reading(
        inputs=tuple(declared for declared in inputs if declared is not None),
        outputs=tuple(outputs),
        problems=tuple(problems),
    )


def call_problem(function: Callable[..., Any], names: Iterator[str]) -> str | None:
    """Say why *function* cannot be called with these names; None if it can."""
    try:
        inspect.signature(function).bind(**dict.fromkeys(names))
    except (TypeError, ValueError) as error:
        return f"cannot be called with these inputs: {error}"
    return None


def field_type(hint: Any) -> FieldType | None:  # noqa: ANN401, PLR0911 - one case a type
    """Return the type that a Python annotation stands for; None for one of no ours."""
    if isinstance(hint, type) and hint in _SCALARS:
        return _SCALARS[hint]
    match get_origin(hint), get_args(hint):
        case (kind, (item,)) if kind is list:
            return _around(ListOf, item)
        case (kind, (key, item)) if kind is dict and key is str:
            return _around(MapOf, item)
        case (kind, values) if kind is Literal:
            return _choice(values)
        case (kind, items) if kind is tuple:
            return _tuple(items)
        case (kind, members) if kind in (Union, UnionType):
            return _union(members)
        case _:
            return None


def _around(make: Callable[[FieldType], FieldType], inner: object) -> FieldType | None:
    kind = field_type(inner)
    return None if kind is None else make(kind)


def _all(hints: Iterable[object]) -> tuple[FieldType, ...] | None:
    found = [field_type(hint) for hint in hints]
    kinds = tuple(kind for kind in found if kind is not None)
    return kinds if len(kinds) == len(found) else None


def _tuple(items: tuple[object, ...]) -> FieldType | None:
    kinds = _all(items)
    return TupleOf(kinds) if kinds and tuple_problem(kinds) is None else None


def _union(members: tuple[object, ...]) -> FieldType | None:
    kinds = _all(m for m in members if m is not NoneType)
    if not kinds or clash(kinds):
        return None
    return united(kinds, optional=NoneType in members)


def _choice(values: tuple[Any, ...]) -> FieldType | None:
    uniform = all(isinstance(v, str) for v in values) or all(map(is_int64, values))
    return Choice(values) if uniform else None


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
    for name, kind_hint in get_type_hints(hint).items():
        kind = field_type(kind_hint)
        problem = name_problem(name)
        if problem is None and (kind is None or name in hint.__optional_keys__):
            problem = f"its output {name} has a type that no field can have"
        if problem is None:
            yield Declared(name=name, type=kind, required=not isinstance(kind, Maybe))
        else:
            problems.append(problem)
