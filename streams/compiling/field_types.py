"""What becomes of a field's type where ways part, meet and repeat."""

from collections.abc import Iterable, Iterator

from streams.signatures.fitting import fits
from streams.signatures.types import Choice, FieldType, Limited, ListOf, Maybe


def or_none(kind: FieldType) -> FieldType:
    """Return *kind*, with None among its values."""
    return kind if isinstance(kind, Maybe) else Maybe(kind)


def widest(kinds: Iterable[FieldType]) -> FieldType | None:
    """Return the type that all *kinds* fit: one of them, or all their literals.

    None if there is none. Where one of them may be None, so may it.
    """
    said = list(kinds)
    inner = [kind.inner if isinstance(kind, Maybe) else kind for kind in said]
    for wide in (*inner, *_literals(inner)):
        if all(fits(kind, wide) for kind in inner):
            return wide if inner == said else Maybe(wide)
    return None


def _literals(kinds: Iterable[FieldType]) -> Iterator[Choice]:
    """Give the literals of all *kinds* in one type, if they have no others."""
    values: list[str | int] = []
    for kind in kinds:
        if not isinstance(kind, Choice):
            return
        values += kind.values
    each = tuple(dict.fromkeys(values))
    texts = tuple(value for value in each if isinstance(value, str))
    numbers = tuple(value for value in each if not isinstance(value, str))
    # Texts and numbers have no type in common.
    if not (texts and numbers):
        yield Choice(texts or numbers)


def item_of(kind: FieldType) -> FieldType | None:
    """Return the type of the elements of a list; None for any other type."""
    whole = kind.inner if isinstance(kind, Limited) else kind
    return whole.item if isinstance(whole, ListOf) else None
