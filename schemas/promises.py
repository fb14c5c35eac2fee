"""What a schema promises of values beyond their Avro type, and how that changed.

Bounds, patterns and allowed values are properties: Avro's readers pass over them, and
yet a producer's value is refused by a narrower one, and a consumer that relied on it
meets values that it never saw. Whose values must lie within whose promises depends on
who writes: *new_writes* says that it is the new schema.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from schemas.identity import AvroSchema

Positions = Callable[[str], Sequence[AvroSchema] | None]
"""Takes a tuple as its signature writes it, returns the type of each position; None
where it cannot tell. Avro knows an array only."""

Change = tuple[str, bool]
"""What is said of a field, and whether that breaks somebody."""

LOWER: Final = ("minimum", "minLength", "minItems", "minProperties")
UPPER: Final = ("maximum", "maxLength", "maxItems", "maxProperties")

SHOWN_CHARS: Final = 60
"""Longer values are cut in a sentence."""


def changes(old: object, new: object, *, new_writes: bool) -> Iterator[Change]:
    """Give what *new* promises otherwise than *old*, two types that resolve."""
    was = old if isinstance(old, Mapping) else {}
    now = new if isinstance(new, Mapping) else {}
    yield from _allowed(was, now, new_writes=new_writes)
    yield from _bounds(was, now, new_writes=new_writes)
    yield from _pattern(was, now, new_writes=new_writes)
    yield from _meaning(was, now, new_writes=new_writes)


def shown(value: object) -> str:
    """Return *value* of a schema as a sentence shows it."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def _allowed(
    was: Mapping[str, Any], now: Mapping[str, Any], *, new_writes: bool
) -> Iterator[Change]:
    before, after = _values(was), _values(now)
    if before == after:
        return
    if after is None:
        yield "may be any value now: expect new ones", False
    elif before is None:
        yield f"may only be {', '.join(map(shown, after))} now", not new_writes
    else:
        for value in before:
            if value not in after:
                yield f"may not be {shown(value)} any more", not new_writes
        for value in after:
            if value not in before:
                # No break: a Literal is a string so that it may grow.
                yield f"may be the new value {shown(value)} now", False


def _bounds(
    was: Mapping[str, Any], now: Mapping[str, Any], *, new_writes: bool
) -> Iterator[Change]:
    writer, reader = (now, was) if new_writes else (was, now)
    for name in (*LOWER, *UPPER):
        before, after, wanted = (_number(s.get(name)) for s in (was, now, reader))
        given = _sure(writer, name)
        breaks = wanted is not None and not _within(name, given, wanted)
        if before != after:
            yield _moved(name, before, after), breaks


def _within(name: str, given: float | None, wanted: float) -> bool:
    if given is None:
        return False
    return given >= wanted if name in LOWER else given <= wanted


def _sure(writer: Mapping[str, Any], name: str) -> float | None:
    """Return the bound that every value of *writer* keeps, said or not."""
    values = _values(writer)
    if not values:
        return _number(writer.get(name))
    if name.endswith("Length"):
        sizes: list[float] = [len(str(value)) for value in values]
    elif all(isinstance(value, int) for value in values):
        sizes = [float(value) for value in values]
    else:
        return None
    return min(sizes) if name in LOWER else max(sizes)


def _pattern(
    was: Mapping[str, Any], now: Mapping[str, Any], *, new_writes: bool
) -> Iterator[Change]:
    before, after = was.get("pattern"), now.get("pattern")
    if before != after:
        # Whether one pattern holds every text of another is more than we can tell.
        wanted = before if new_writes else after
        yield _moved("pattern", before, after), wanted is not None


def _meaning(
    was: Mapping[str, Any], now: Mapping[str, Any], *, new_writes: bool
) -> Iterator[Change]:
    before, after = meaning_of(was), meaning_of(now)
    if before != after:
        # Any text is code to whoever reads it; not every text is an image.
        wanted = before if new_writes else after
        yield f"was {before or 'str'}, is {after or 'str'}", wanted == "Image"


def meaning_of(schema: Mapping[str, Any]) -> str | None:
    """Return what a text stands for where a signature says more than ``str``."""
    if schema.get("image") is True:
        return "Image"
    language = schema.get("code")
    return f"Code[{language!r}]" if isinstance(language, str) else None


def _moved(name: str, before: object, after: object) -> str:
    if before is None:
        return f"has {name} {shown(after)} now"
    if after is None:
        return f"has no {name} any more, it was {shown(before)}"
    return f"has {name} {shown(after)}, it was {shown(before)}"


def _values(schema: Mapping[str, Any]) -> list[Any] | None:
    said = schema.get("allowed")
    return said if isinstance(said, list) else None


def _number(said: object) -> float | None:
    return None if isinstance(said, bool) or not isinstance(said, int | float) else said
