"""What differs between two versions of a schema, in words, and what of it breaks.

Two levels, as ``compatibility.py`` has them. BACKWARD: producers still write with the
old schema, and we read with the new one. FORWARD: we write with the new one, consumers
still read with the old one. A difference breaks if a value that the writer may write
cannot be read, or is none that the reader was promised (``promises.py``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.compatibility import Level
from schemas.identity import AvroSchema
from schemas.limits import parse
from schemas.named_types import definitions
from schemas.promises import Positions, changes, shown
from schemas.resolution import branches_of, kind_of, reader_of, word_of, words_of

ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that the new schema says otherwise."""

    path: str
    """``inputs.lines[].sku``: ``[]`` is each item of a list, ``{}`` of a dict."""
    what: str
    """Said of the field: ``has no default``."""
    breaks: bool = False

    def __str__(self) -> str:
        return f"{self.path or 'the record'} {self.what}"


def differences(
    level: Level,
    old: AvroSchema,
    new: AvroSchema,
    positions: Positions = lambda _text: None,
) -> tuple[Difference, ...]:
    """Return how *new* differs from *old*, both as parsed JSON.

    Without *positions*, tuples that differ at all break.

    Raises:
        InvalidSchemaError: one of them is no schema that we would read with.
    """
    before, after = parse(old), parse(new)
    walk = _Walk(
        new_writes=level == "FORWARD_TRANSITIVE",
        old_named=definitions(before),
        new_named=definitions(after),
        positions=positions,
    )
    return tuple(walk.types("", before, after))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """One comparison; *new_writes* says who writes, and so who may break."""

    new_writes: bool
    old_named: Mapping[str, AvroSchema]
    new_named: Mapping[str, AvroSchema]
    positions: Positions

    def types(
        self, path: str, old: AvroSchema, new: AvroSchema
    ) -> Iterator[Difference]:
        """Compare two types, of one branch or several, at *path*."""
        olds, news = branches_of(old, self.old_named), branches_of(new, self.new_named)
        pairs = self._pairs(olds, news)
        if not pairs:
            was, now = words_of(olds), words_of(news)
            yield Difference(path=path, what=f"was {was}, is {now}", breaks=True)
            return
        for branch in olds:
            if all(branch is not one for one, _ in pairs):
                what = f"is never {word_of(branch)} any more"
                if not self.new_writes:
                    what = f"may not be {word_of(branch)} any more"
                yield Difference(path=path, what=what, breaks=not self.new_writes)
        for branch in news:
            if all(branch is not other for _, other in pairs):
                what = f"may be {word_of(branch)} now"
                yield Difference(path=path, what=what, breaks=self.new_writes)
        for one, other in pairs:
            yield from self._same(path, one, other)

    def _pairs(
        self, olds: Sequence[AvroSchema], news: Sequence[AvroSchema]
    ) -> list[tuple[AvroSchema, AvroSchema]]:
        """Return the branches that resolve to each other, the old one first."""
        if self.new_writes:
            of_new = [(reader_of(new, olds), new) for new in news]
            return [(old, new) for old, new in of_new if old is not None]
        of_old = [(old, reader_of(old, news)) for old in olds]
        return [(old, new) for old, new in of_old if new is not None]

    def _same(self, path: str, old: Any, new: Any) -> Iterator[Difference]:  # noqa: ANN401 - Avro's
        if kind_of(old) != kind_of(new):
            what = f"was {word_of(old)}, is {word_of(new)}"
            yield Difference(path=path, what=what)
        for what, breaks in changes(old, new, new_writes=self.new_writes):
            yield Difference(path=path, what=what, breaks=breaks)
        kind = old["type"] if isinstance(old, Mapping) else old
        if kind in ("record", "error"):
            yield from self._fields(path, old["fields"], new["fields"])
        elif kind == "array":
            yield from self._items(path, old, new)
        elif kind == "map":
            yield from self.types(f"{path}{{}}", old["values"], new["values"])
        elif kind == "enum":
            yield from self._symbols(path, old, new)

    def _fields(
        self,
        path: str,
        old: Sequence[Mapping[str, Any]],
        new: Sequence[Mapping[str, Any]],
    ) -> Iterator[Difference]:
        before = {field["name"]: field for field in old}
        after = {field["name"]: field for field in new}
        for name, field in after.items():
            at = f"{path}.{name}".lstrip(".")
            if name in before:
                yield from self._field(at, before[name], field)
            else:
                yield self._added(at, field)
        for name, field in before.items():
            if name not in after:
                yield self._removed(f"{path}.{name}".lstrip("."), field)

    def _field(
        self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[Difference]:
        yield from self.types(path, old["type"], new["type"])
        was, now = (field.get("default", ABSENT) for field in (old, new))
        if was is ABSENT and now is not ABSENT:
            yield Difference(path=path, what=f"has the default {shown(now)} now")
        elif now is ABSENT and was is not ABSENT:
            # No break: what is written with the old schema always holds the field.
            yield Difference(path=path, what="has no default any more")
        elif was != now:
            what = f"has the default {shown(now)}, it was {shown(was)}"
            yield Difference(path=path, what=what)
        if old.get("doc", "") != new.get("doc", ""):
            yield Difference(path=path, what="has another description")

    def _added(self, path: str, field: Mapping[str, Any]) -> Difference:
        if self.new_writes:
            return Difference(path=path, what="is new")
        if "default" in field:
            what = f"is new, with the default {shown(field['default'])}"
            return Difference(path=path, what=what)
        return Difference(path=path, what="is new and has no default", breaks=True)

    def _removed(self, path: str, field: Mapping[str, Any]) -> Difference:
        if not self.new_writes:
            # Left out by default; a pipeline with `extra: reject` would refuse it.
            return Difference(path=path, what="is no field any more, and left out")
        if "default" in field:
            what = f"is gone: readers see {shown(field['default'])}"
            return Difference(path=path, what=what)
        return Difference(path=path, what="is gone and had no default", breaks=True)

    def _items(
        self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[Difference]:
        was, now = old.get("tuple"), new.get("tuple")
        if was is None and now is None:
            yield from self.types(f"{path}[]", old["items"], new["items"])
        elif was != now:
            yield from self._tuples(path, old, new)

    def _tuples(
        self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[Difference]:
        was, now = old.get("tuple"), new.get("tuple")
        olds, news = (said and self.positions(str(said)) for said in (was, now))
        what = f"was {was or 'list'}, is {now or 'list'}"
        wanted = was if self.new_writes else now
        if wanted is None:
            # Whatever a tuple holds at a place is an item of the list.
            yield Difference(path=path, what=what)
            yield from self.types(f"{path}[]", old["items"], new["items"])
        elif not olds or not news or len(olds) != len(news):
            yield Difference(path=path, what=what, breaks=True)
        else:
            for index, (one, other) in enumerate(zip(olds, news, strict=True)):
                yield from self.types(f"{path}[{index}]", one, other)

    def _symbols(
        self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[Difference]:
        reader = old if self.new_writes else new
        surprising = "default" not in reader
        for symbol in new["symbols"]:
            if symbol not in old["symbols"]:
                breaks = self.new_writes and surprising
                what = f"may be the new symbol {shown(symbol)} now"
                yield Difference(path=path, what=what, breaks=breaks)
        for symbol in old["symbols"]:
            if symbol not in new["symbols"]:
                breaks = not self.new_writes and surprising
                what = f"may not be {shown(symbol)} any more"
                yield Difference(path=path, what=what, breaks=breaks)
