"""Does this value have that type? One compiled checker per type, made for speed.

A checker returns the value as the pipeline will see it, or raises
:class:`~streams.signatures.misfit.MisfitError`. Lists and dicts are copied, so that
nobody shares them with the sender. Single values are in ``scalars.py``.
"""

from typing import Any

from streams.signatures.alternatives import types_of
from streams.signatures.limit_checks import limit_checker
from streams.signatures.misfit import Checker, MisfitError, unlike
from streams.signatures.scalars import SCALARS, decimal_checker, text
from streams.signatures.special_texts import code_checker, image
from streams.signatures.tool_checks import calls_checker, tool_checker
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.types import (
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


def checker(kind: FieldType) -> Checker:  # noqa: C901, PLR0911 - one case a type
    """Return the function that checks values of *kind*."""
    match kind:
        case Scalar():
            return SCALARS[kind.name]
        case DecimalOf():
            return decimal_checker(kind)
        case Choice():
            return _choice(kind)
        case Limited():
            return limit_checker(kind, checker(kind.inner))
        case ImageType():
            return image
        case CodeOf():
            return code_checker(kind)
        case Maybe():
            return _maybe(kind)
        case OneOf():
            return _one_of(kind)
        case HistoryType():
            return _never
        case ListOf() | TupleOf() | MapOf() | RecordOf():
            return _whole_checker(kind)


def _whole_checker(kind: ListOf | TupleOf | MapOf | RecordOf) -> Checker:
    match kind:
        case TupleListOf():
            return _tuple_list(kind)
        case ListOf():
            return _list(kind)
        case TupleOf():
            return _tuple(kind)
        case MapOf():
            return _map(kind)
        case RecordOf():
            return _record_checker(kind)


def _record_checker(kind: RecordOf) -> Checker:
    if kind == TOOL:
        return tool_checker(_record(kind))
    return calls_checker(_record(kind)) if kind == TOOL_CALLS else _record(kind)


def _never(_value: object) -> object:
    raise MisfitError(wanted="nothing: a session makes its history", got="a value")


def _choice(kind: Choice) -> Checker:
    allowed = frozenset(kind.values)
    type_ = type(kind.values[0])
    wanted = f"one of {', '.join(map(repr, kind.values))}"

    def check(value: object) -> object:
        # The type first: 1 == True, and lists have no hash.
        if type(value) is not type_:
            raise unlike(wanted, value)
        if value not in allowed:
            raise MisfitError(wanted=wanted, got="another")
        return value

    return check


def _list(kind: ListOf) -> Checker:
    check_item = checker(kind.item)

    def check(value: object) -> list[Any]:
        if type(value) is not list:
            raise unlike(kind, value)
        checked = []
        for index, item in enumerate(value):
            try:
                checked.append(check_item(item))
            except MisfitError as misfit:
                raise misfit.within(index) from None
        return checked

    return check


def _tuple_list(kind: TupleListOf) -> Checker:
    check_list = _list(kind)

    def check(value: object) -> tuple[Any, ...]:
        return tuple(check_list(list(value) if type(value) is tuple else value))

    return check


def _tuple(kind: TupleOf) -> Checker:
    checks = tuple(map(checker, kind.items))

    def check(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise unlike(kind, value)
        if len(value) != len(checks):
            raise MisfitError(wanted=str(kind), got=f"{len(value)} values")
        checked = []
        for index, (check_item, item) in enumerate(zip(checks, value, strict=True)):
            try:
                checked.append(check_item(item))
            except MisfitError as misfit:
                raise misfit.within(index) from None
        return tuple(checked)

    return check


def _map(kind: MapOf) -> Checker:
    check_value = checker(kind.value)

    def check(value: object) -> dict[str, Any]:
        if type(value) is not dict:
            raise unlike(kind, value)
        checked = {}
        for key, each in value.items():
            try:
                checked[text(key)] = check_value(each)
            except MisfitError as misfit:
                raise misfit.within(key) from None
        return checked

    return check


def _record(kind: RecordOf) -> Checker:
    checks = tuple((field.name, _held(field)) for field in kind.fields)

    def check(value: object) -> dict[str, Any]:
        if type(value) is not dict:
            raise unlike(kind, value)
        checked = {}
        for name, check_held in checks:
            try:
                checked[name] = check_held(value)
            except MisfitError as misfit:
                raise misfit.within(name) from None
        return checked

    return check


def _held(field: Field) -> Checker:
    """Return what checks the value that a record holds for *field*."""
    name, check_value = field.name, checker(field.type)

    def check(record: dict[str, Any]) -> object:
        if name in record:
            return check_value(record[name])
        if field.required:
            raise MisfitError(wanted="a value", got="nothing")
        # Checked anew, and so copied: a default is nobody's to change.
        return None if field.default is None else check_value(field.default)

    return check


def _maybe(kind: Maybe) -> Checker:
    check_inner = checker(kind.inner)

    def check(value: object) -> object:
        return None if value is None else check_inner(value)

    return check


def _one_of(kind: OneOf) -> Checker:
    checks = {
        type_: checker(member) for member in kind.members for type_ in types_of(member)
    }

    def check(value: object) -> object:
        check_member = checks.get(type(value))
        if check_member is None:
            raise unlike(kind, value)
        return check_member(value)

    return check
