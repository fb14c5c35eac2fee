"""May a value of one type be given where another is wanted?"""

from streams.signatures.types import (
    FLOAT,
    INT,
    STR,
    Choice,
    CodeOf,
    DecimalOf,
    FieldType,
    ImageType,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    TupleOf,
)


def fits(made: FieldType, wanted: FieldType) -> bool:  # noqa: PLR0911 - one case a type
    """Say whether every value of type *made* is one of type *wanted*."""
    match made, wanted:
        case Maybe(), Maybe():
            return fits(made.inner, wanted.inner)
        case _, Maybe():
            return fits(made, wanted.inner)
        case OneOf(), _:
            return all(fits(member, wanted) for member in made.members)
        case _, OneOf():
            return any(fits(made, member) for member in wanted.members)
        case _, Limited():
            return isinstance(made, Limited) and _within(made, wanted)
        case Limited(), _:
            return fits(made.inner, wanted)
        case _:
            return _inner_fits(made, wanted)


def _inner_fits(made: FieldType, wanted: FieldType) -> bool:
    match made, wanted:
        case ListOf(), ListOf():
            return type(made) is type(wanted) and fits(made.item, wanted.item)
        case MapOf(), MapOf():
            return fits(made.value, wanted.value)
        case TupleOf(), TupleOf() if len(made.items) == len(wanted.items):
            return all(map(fits, made.items, wanted.items))
        case DecimalOf(), DecimalOf():
            return _digits_fit(made, wanted)
        case _:
            return _scalar_fits(made, wanted)


def _within(made: Limited, wanted: Limited) -> bool:
    """Say whether the limits of *made* lie within those of *wanted*."""
    if wanted.low is not None and (made.low is None or made.low < wanted.low):
        return False
    if wanted.high is not None and (made.high is None or made.high > wanted.high):
        return False
    if wanted.pattern not in (None, made.pattern):
        return False
    return fits(made.inner, wanted.inner)


def _digits_fit(made: DecimalOf, wanted: DecimalOf) -> bool:
    whole = made.digits - made.places <= wanted.digits - wanted.places
    return whole and made.places <= wanted.places


def _scalar_fits(made: FieldType, wanted: FieldType) -> bool:
    if isinstance(made, Choice):
        if isinstance(wanted, Choice):
            return set(made.values) <= set(wanted.values)
        made = STR if isinstance(made.values[0], str) else INT
    if isinstance(made, ImageType | CodeOf) and wanted == STR:
        return True
    return made == wanted or (made, wanted) == (INT, FLOAT)
