"""May a value of one type be given where another is wanted?"""

from streams.signatures.types import (
    FLOAT,
    INT,
    STR,
    Choice,
    FieldType,
    ListOf,
    MapOf,
    Maybe,
)


def fits(made: FieldType, wanted: FieldType) -> bool:
    """Say whether every value of type *made* is one of type *wanted*."""
    match made, wanted:
        case Maybe(), Maybe():
            return fits(made.inner, wanted.inner)
        case _, Maybe():
            return fits(made, wanted.inner)
        case ListOf(), ListOf():
            return fits(made.item, wanted.item)
        case MapOf(), MapOf():
            return fits(made.value, wanted.value)
        case _:
            return _scalar_fits(made, wanted)


def _scalar_fits(made: FieldType, wanted: FieldType) -> bool:
    if isinstance(made, Choice):
        if isinstance(wanted, Choice):
            return set(made.values) <= set(wanted.values)
        made = STR if isinstance(made.values[0], str) else INT
    return made == wanted or (made, wanted) == (INT, FLOAT)
