"""What becomes of a field's type where ways part, meet and repeat."""

from collections.abc import Iterable

from streams.signatures.fitting import fits
from streams.signatures.types import FieldType, Limited, ListOf, Maybe


def or_none(kind: FieldType) -> FieldType:
    """Return *kind*, with None among its values."""
    return kind if isinstance(kind, Maybe) else Maybe(kind)


def widest(kinds: Iterable[FieldType]) -> FieldType | None:
    """Return the type among *kinds* that all others fit; None if there is none.

    Where one of them may be None, so may it.
    """
    said = list(kinds)
    inner = [kind.inner if isinstance(kind, Maybe) else kind for kind in said]
    for wide in inner:
        if all(fits(kind, wide) for kind in inner):
            return wide if inner == said else Maybe(wide)
    return None


def item_of(kind: FieldType) -> FieldType | None:
    """Return the type of the elements of a list; None for any other type."""
    whole = kind.inner if isinstance(kind, Limited) else kind
    return whole.item if isinstance(whole, ListOf) else None
