"""What an LM is told of a type beyond Python's: bounds, and how to write dates."""

from typing import Final

from streams.signatures.alternatives import shape_of
from streams.signatures.types import (
    DATE,
    DATETIME,
    DecimalOf,
    Field,
    FieldType,
    ImageType,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    RecordOf,
    TupleOf,
    shown_bound,
)

_COUNTED: Final = {"text": "characters", "list": "items", "object": "entries"}


def told(field: Field) -> str:
    """Return the description of *field* for an LM; empty if there is nothing to say."""
    rules = rules_of(field.type)
    if not (field.description and rules):
        return field.description or rules
    return f"{field.description} ({rules})"


def rules_of(kind: FieldType) -> str:  # noqa: C901, PLR0911 - one case a type
    """Return the rules for values of *kind*, as a phrase; empty if there are none."""
    match kind:
        case Limited(inner=ImageType()):
            return ""  # an LM sees it, and writes none
        case Limited():
            return "; ".join(filter(None, [rules_of(kind.inner), *_limits(kind)]))
        case Maybe():
            return rules_of(kind.inner)
        case OneOf():
            said = [rules_of(member) for member in kind.members]
            return "; or ".join(filter(None, said))
        case ListOf():
            return _each(rules_of(kind.item))
        case MapOf():
            return _each(rules_of(kind.value))
        case DecimalOf():
            return f"a number with at most {kind.places} digits behind the point"
        case _ if kind == DATE:
            return "YYYY-MM-DD"
        case _ if kind == DATETIME:
            return "YYYY-MM-DDThh:mm:ssZ"
        case _:
            return ""


def _each(rules: str) -> str:
    return f"each: {rules}" if rules else ""


def _limits(kind: Limited) -> list[str]:
    low, high = shown_bound(kind.low), shown_bound(kind.high)
    exact = isinstance(kind.inner, DecimalOf)
    unit = "" if exact else _COUNTED.get(shape_of(kind), "")
    said = []
    if low and high:
        said.append(f"{low} to {high} {unit}".rstrip())
    elif low:
        said.append(f"at least {low} {unit}".rstrip())
    elif high:
        said.append(f"at most {high} {unit}".rstrip())
    if kind.pattern is not None:
        said.append(f"matching {kind.pattern}")
    return said


def holds(kind: FieldType, wanted: FieldType) -> bool:  # noqa: PLR0911 - one case a type
    """Say whether values of *kind* may have such of type *wanted* in them."""
    match kind:
        case ListOf():
            return holds(kind.item, wanted)
        case MapOf():
            return holds(kind.value, wanted)
        case Limited() | Maybe():
            return holds(kind.inner, wanted)
        case TupleOf():
            return any(holds(item, wanted) for item in kind.items)
        case OneOf():
            return any(holds(member, wanted) for member in kind.members)
        case RecordOf():
            held = (field.type for field in kind.fields)
            return kind == wanted or any(holds(each, wanted) for each in held)
        case _:
            return kind == wanted
