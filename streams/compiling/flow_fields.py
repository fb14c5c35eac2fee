"""The fields that are there at one place of a flow: types, makers and holes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from streams.compiling.field_types import or_none, widest
from streams.signatures.types import FieldType


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A field, as who stands behind it finds it."""

    type: FieldType
    maker: str
    """For sentences: ``stage draft``."""
    hole: bool = False
    """Whether it may be missing: whoever makes it may be skipped."""
    later: bool = False
    """Whether it is made further down in a loop, and nowhere before it: it is there
    from the second iteration on."""


Scope = Mapping[str, Known]
"""All fields that are there, by name."""


def there(scope: Scope, name: str) -> Known | None:
    """Return the field called *name*, if it is there in a first iteration too."""
    known = scope.get(name)
    return None if known is None or known.later else known


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """What is there where ways meet again, of which one was taken."""

    makes: Mapping[str, Known]
    clashes: tuple[tuple[str, Known, Known], ...]
    """Fields that two ways make of types that do not fit one another."""


def meet(scope: Scope, ways: Sequence[Scope], maker: str) -> Meeting:
    """Return what is there after one of *ways*, of which each makes what it holds.

    A field that a way does not make is what it was before, or None.
    """
    makes, clashes = {}, []
    for name in dict.fromkeys(name for way in ways for name in way):
        made = [way[name] for way in ways if name in way]
        kind = widest(known.type for known in made)
        if kind is None:
            clashes.append((name, *_apart(made)))
            kind = made[0].type
        before, told = there(scope, name), made[0].maker
        if len(made) == len(ways):
            told = told if len(made) == 1 else maker
        elif before is None:
            kind, told = or_none(kind), maker
        else:
            # Whoever made it again said so if the types do not fit.
            kind, told = widest((before.type, kind)) or before.type, maker
            made.append(before)
        hole = any(known.hole for known in made)
        makes[name] = Known(type=kind, maker=told, hole=hole)
    return Meeting(makes=makes, clashes=tuple(clashes))


def with_holes(makes: Scope) -> dict[str, Known]:
    """Return *makes*, any of which may be missing."""
    return {name: replace(known, hole=True) for name, known in makes.items()}


def again(scope: Scope, makes: Scope) -> dict[str, Known]:
    """Return the fields that a loop's body begins with, if it *makes* these."""
    entered = dict(scope)
    for name, made in makes.items():
        before = there(scope, name)
        if before is None:
            entered[name] = replace(made, later=True)
        else:
            entered[name] = replace(before, hole=before.hole or made.hole)
    return entered


def _apart(made: Sequence[Known]) -> tuple[Known, Known]:
    """Return two of *made* whose types do not fit one another."""
    pairs = ((a, b) for i, a in enumerate(made) for b in made[i + 1 :])
    return next(pair for pair in pairs if widest(k.type for k in pair) is None)
