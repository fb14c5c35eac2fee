"""Read signatures that are Python classes: DSPy's, and pairs of pydantic models.

    class Triage(dspy.Signature):
        '''Sort a ticket.'''

        ticket: str = dspy.InputField(desc="what they wrote", max_length=20_000)
        category: Literal["billing", "bug"] = dspy.OutputField()

The docstring is the instructions, constraints are bounds, nested models are records.
Classes are given, never looked for; DSPy and pydantic are known by what their classes
have, and not imported.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.signatures.annotations import Annotations, is_history
from streams.signatures.constraints import constraints_of
from streams.signatures.default_instructions import default_instructions
from streams.signatures.dspy_objects import of_dspy
from streams.signatures.misfit import MisfitError
from streams.signatures.names import name_problem
from streams.signatures.parse import HISTORY_NAME, Declared, Reading
from streams.signatures.records import type_name_problem
from streams.signatures.types import HISTORY, FieldType, Maybe, RecordOf
from streams.signatures.values import checker

Model = Any
"""A class of fields, with ``model_fields`` and what else pydantic gives it."""

Info = Any
"""A ``FieldInfo`` of pydantic's."""

NO_CLASS: Final = "is neither a dspy.Signature nor a pydantic model"

_SIDE: Final = "__dspy_field_type"
_UNTYPED: Final = "IS_TYPE_UNDEFINED"

# What changes or refuses values in ways that bounds cannot say.
_CONFIG: Final = (
    "alias_generator",
    "regex_engine",
    "str_max_length",
    "str_min_length",
    "str_strip_whitespace",
    "str_to_lower",
    "str_to_upper",
)
_DECORATED: Final = (
    "computed_fields",
    "field_serializers",
    "field_validators",
    "model_serializers",
    "model_validators",
    "root_validators",
    "validators",
)
_FIELD: Final = ("alias", "discriminator", "serialization_alias", "validation_alias")


def read_class(signature: Model) -> Reading:
    """Return what a subclass of ``dspy.Signature`` says."""
    sides = _sides(signature)
    if not sides or None in sides.values():
        return Reading(problems=(f"{_name(signature)}: {NO_CLASS}",))
    reader = _Reader()
    declared = reader.fields(signature, _name(signature), histories=True)
    for side in ("input", "output"):
        if side not in sides.values():
            reader.wrong(_name(signature), f"a signature needs at least one {side}")
    if len([each for each in declared if each.type == HISTORY]) > 1:
        reader.wrong(_name(signature), "a stage has one history, the session's")
    return Reading(
        inputs=tuple(each for each in declared if sides[each.name] == "input"),
        outputs=tuple(each for each in declared if sides[each.name] == "output"),
        problems=tuple(reader.annotations.problems),
        instructions=_instructions(signature, sides),
    )


def read_models(given: Model, wanted: Model) -> Reading:
    """Return the signature from one pydantic model to another.

    The docstring of *wanted* is the instructions.
    """
    reader = _Reader()
    for model in (given, wanted):
        if not getattr(model, "model_fields", None):
            reader.wrong(_name(model), NO_CLASS)
    if reader.annotations.problems:
        return Reading(problems=tuple(reader.annotations.problems))
    return Reading(
        inputs=reader.fields(given, _name(given)),
        outputs=reader.fields(wanted, _name(wanted)),
        problems=tuple(reader.annotations.problems),
        instructions=inspect.cleandoc(wanted.__dict__.get("__doc__") or ""),
    )


class _Reader:
    """Reads the fields of classes, and of those that they hold."""

    def __init__(self) -> None:
        self.annotations = Annotations(record=self.record)
        self.wrong: Callable[[str, str], object] = self.annotations.wrong
        self._records: dict[str, tuple[object, RecordOf | None]] = {}
        self._within: list[object] = []

    def fields(
        self,
        model: Model,
        path: str,
        *,
        histories: bool = False,
    ) -> tuple[Declared, ...]:
        """Return the fields of *model* that have no problem."""
        self._check(model, path)
        found = []
        for name, info in model.model_fields.items():
            at, history = f"{path}.{name}", histories and _side(info) == "input"
            one = self._one(name, info, history=history)
            if isinstance(one, str):
                self.wrong(at, one)
                continue
            each = one if one.type == HISTORY else self._typed(name, info, at)
            if each is not None:
                found.append(each)
        return tuple(found)

    def record(self, model: Model, path: str) -> RecordOf | None:
        """Return the record that a nested *model* is."""
        name = _name(model)
        problem = self._record_problem(name, model)
        if problem is not None:
            self.wrong(path, problem)
            return None
        if name not in self._records:
            before = len(self.annotations.problems)
            self._within.append(model)
            fields = tuple(each.typed(None) for each in self.fields(model, path))
            self._within.pop()
            good = len(self.annotations.problems) == before
            self._records[name] = (model, RecordOf(name, fields) if good else None)
        return self._records[name][1]

    def _record_problem(self, name: str, model: Model) -> str | None:
        if model in self._within:
            return f"{name} holds itself"
        if self._records.get(name, (model, None))[0] is not model:
            return f"two models are called {name}"
        return type_name_problem(name)

    def _check(self, model: Model, path: str) -> None:
        config: Mapping[str, Any] = model.model_config
        if config.get("extra", "ignore") != "ignore":
            self.wrong(path, "extra fields are the pipeline's: say it with `extra:`")
        for name in _CONFIG:
            if config.get(name):
                self.wrong(path, f"{name} has no equal in a signature")
        made = model.__pydantic_decorators__
        if any(getattr(made, kind, None) for kind in _DECORATED):
            self.wrong(path, "its validators would not run: write a `validate` stage")

    def _one(self, name: str, info: Info, *, history: bool) -> Declared | str:
        """Return the field *name*, or what is wrong with it."""
        if is_history(info.annotation):
            return _history(name, info, allowed=history)
        if name == HISTORY_NAME:
            return "history is the session's: a dspy.History"
        problem = name_problem(name)
        if problem is not None:
            return problem
        lost = [each for each in _FIELD if getattr(info, each, None) is not None]
        return f"{lost[0]} has no equal in a signature" if lost else Declared(name=name)

    def _typed(self, name: str, info: Info, path: str) -> Declared | None:
        within, problem = constraints_of(info.metadata)
        if problem is not None:
            self.wrong(path, problem)
            return None
        if (info.json_schema_extra or {}).get(_UNTYPED) and info.is_required():
            return Declared(name=name, description=_description(name, info))
        kind = self.annotations.type(info.annotation, path, within)
        if kind is None:
            return None
        default, problem = (None, None) if info.is_required() else _default(info, kind)
        if problem is not None:
            self.wrong(path, problem)
            return None
        return Declared(
            name=name,
            type=kind,
            description=_description(name, info),
            required=info.is_required() and not isinstance(kind, Maybe),
            default=default,
        )


def _history(name: str, info: Info, *, allowed: bool) -> Declared | str:
    if not allowed:
        return "a history is an input of a stage"
    if not info.is_required() or _description(name, info):
        return "history is the session's: a type and nothing else"
    return Declared(name=name, type=HISTORY)


def _default(info: Info, kind: FieldType) -> tuple[object, str | None]:
    made = info.default
    if info.default_factory in (list, dict):
        made = info.default_factory()
    elif info.default_factory is not None:
        return None, "a default that is made anew cannot be written down"
    if hasattr(made, "model_dump") and not of_dspy(type(made)):
        made = made.model_dump()
    try:
        return checker(kind)(made), None
    except MisfitError as misfit:
        return None, f"default: {misfit}"


def _description(name: str, info: Info) -> str:
    said = (info.json_schema_extra or {}).get("desc", info.description)
    # What DSPy says of a field that nobody described.
    return "" if said in (None, f"${{{name}}}") else str(said)


def _sides(signature: Model) -> Mapping[str, str | None]:
    fields = getattr(signature, "model_fields", None) or {}
    return {name: _side(info) for name, info in fields.items()}


def _instructions(signature: Model, sides: Mapping[str, str | None]) -> str:
    said = inspect.cleandoc(signature.__doc__ or "")
    by_itself = default_instructions(
        [name for name, side in sides.items() if side == "input"],
        [name for name, side in sides.items() if side == "output"],
    )
    return "" if said == by_itself else said


def _side(info: Info) -> str | None:
    extra = info.json_schema_extra
    return extra.get(_SIDE) if isinstance(extra, dict) else None


def _name(model: object) -> str:
    return str(getattr(model, "__name__", type(model).__name__))
