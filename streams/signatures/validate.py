"""Validators: values of all fields in, clean values and every problem out."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, Literal

from streams.json_form import json_value
from streams.signatures.misfit import Checker, MisfitError
from streams.signatures.types import Field
from streams.signatures.values import checker

FieldProblem = tuple[str, str]
"""The field, and what is wrong with its value as a sentence."""

Extra = Literal["drop", "keep", "reject"]
"""What becomes of values that belong to no field."""

EXTRAS: Final[Mapping[str, Extra]] = {
    "drop": "drop",
    "keep": "keep",
    "reject": "reject",
}

_ABSENT: Final = object()


class Validator:
    """Checks the values of *fields*; compiled once, used for every request.

    A missing value is replaced by the field's default. Values of unknown fields are
    left out unless *extra* says otherwise: writers may be ahead of us; *unknown* counts
    them.
    """

    def __init__(self, fields: Sequence[Field], extra: Extra = "drop") -> None:
        self._extra = extra
        self._fields: tuple[tuple[Field, str, Checker], ...] = tuple(
            (field, field.name, checker(field.type)) for field in fields
        )
        self._names = frozenset(field.name for field in fields)

    def __call__(
        self, values: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[FieldProblem]]:
        """Return the clean values of all fields that have one, and all problems."""
        clean: dict[str, Any] = {}
        problems: list[FieldProblem] = []
        for field, name, check in self._fields:
            value = values.get(name, _ABSENT)
            if value is not _ABSENT:
                try:
                    clean[name] = check(value)
                except MisfitError as misfit:
                    problems.append((name, str(misfit)))
            elif field.required:
                problems.append((name, "is missing"))
            else:
                clean[name] = default_of(field)
        if self._extra != "drop" and values.keys() - self._names:
            self._take_extra(values, clean, problems)
        return clean, problems

    def _take_extra(
        self,
        values: Mapping[str, Any],
        clean: dict[str, Any],
        problems: list[FieldProblem],
    ) -> None:
        for name, value in values.items():
            if name in self._names:
                continue
            if self._extra == "reject":
                problems.append((name, "belongs to no field"))
                continue
            try:
                clean[name] = json_value(value)
            except TypeError:
                # Avro has types that no field has, and no store could keep.
                problems.append((name, "is of a type that cannot be kept"))

    def unknown(self, values: Mapping[str, Any]) -> int:
        """Return how many of *values* are left out, because they belong to no field."""
        if self._extra == "keep":
            return 0
        return len(values.keys() - self._names)


def default_of(field: Field) -> Any:  # noqa: ANN401 - a value of the field's type
    """Return the default of *field*; nobody else holds the same list or dict."""
    default = field.default
    return deepcopy(default) if isinstance(default, list | dict | tuple) else default


def sentence(problems: Sequence[FieldProblem]) -> str:
    """Return *problems* in one line: ``ticket: is missing; tier: expected ...``."""
    return "; ".join(f"{name}: {reason}" for name, reason in problems)
