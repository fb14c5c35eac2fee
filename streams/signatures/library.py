"""A library of signatures: named, with versions, aliases and tags, found and searched.

Only texts are kept; what they mean is read when somebody asks, and remembered as any
signature is, within the bounds of that memory.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Final

from streams.errors import ConfigError
from streams.signatures.composition import Signature
from streams.signatures.names import name_problem
from streams.signatures.parse import NO_TYPES, Reading, Types, parse_signature

REFERENCE: Final = re.compile(r"@([A-Za-z]\w*)(?:@([1-9]\d{0,8}))?", re.ASCII)
"""How a stage names a signature: ``@triage@2``, or ``@triage`` for the newest one."""

_KEY: Final = re.compile(r"([^@]*)@([1-9]\d{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSignature:
    """One version of one signature of a library."""

    name: str
    version: int
    text: str
    types: Types = NO_TYPES
    """The records that *text* may name."""
    instructions: str = ""
    aliases: tuple[str, ...] = ()
    """Other names: of the signature, whatever the version."""
    tags: frozenset[str] = field(default_factory=frozenset)
    description: str = ""
    """For people who search."""

    @property
    def key(self) -> str:
        """Name and version: ``triage@2``."""
        return f"{self.name}@{self.version}"

    def reading(self) -> Reading:
        """Return what the text says."""
        reading = parse_signature(self.text, self.types)
        if not self.instructions:
            return reading
        return replace(reading, instructions=self.instructions)

    def signature(self) -> Signature:
        """Return inputs and outputs, to be composed with others.

        Raises:
            ConfigError: the text has problems.
        """
        return Signature.of(self.reading())


class Library:
    """Signatures by name and version. Immutable: more of them make a new library."""

    def __init__(self, entries: Iterable[NamedSignature] = ()) -> None:
        self.entries = tuple(entries)
        """As they were given; of two with one key the first counts."""
        self._versions: dict[str, dict[int, NamedSignature]] = {}
        self._names: dict[str, str] = {}
        for entry in self.entries:
            self._versions.setdefault(entry.name, {}).setdefault(entry.version, entry)
        for entry in self.entries:
            for alias in entry.aliases:
                self._names.setdefault(alias, entry.name)

    def plus(self, entries: Iterable[NamedSignature]) -> "Library":
        """Return a library that has *entries* as well."""
        return Library((*self.entries, *entries))

    def find(self, reference: str) -> NamedSignature:
        """Return the signature that *reference* names: ``@triage@2``, ``@triage``.

        Raises:
            ConfigError: there is none.
        """
        match = REFERENCE.fullmatch(reference)
        if match is None:
            reason = f"{reference!r} is not written @name or @name@version"
            raise ConfigError([reason])
        said, version = match.groups()
        # A name before an alias: no alias can take a name away.
        name = said if said in self._versions else self._names.get(said, said)
        versions = self._versions.get(name)
        if versions is None:
            raise ConfigError([f"no signature is called {said}{self._hint(said)}"])
        newest = max(versions)
        found = versions.get(int(version) if version else newest)
        if found is None:
            reason = f"{name} has no version {version}; the newest is {newest}"
            raise ConfigError([reason])
        return found

    def search(
        self, text: str = "", tags: Iterable[str] = ()
    ) -> tuple[NamedSignature, ...]:
        """Return the newest versions with all *tags* and all words of *text*.

        A word may be in the name, an alias, a tag, the description, the instructions
        or the signature itself. Those that have one in their name come first, then
        by name.
        """
        words, wanted = text.lower().split(), frozenset(tags)
        newest = (versions[max(versions)] for versions in self._versions.values())
        found = [
            entry
            for entry in newest
            if wanted <= entry.tags and all(word in _said_by(entry) for word in words)
        ]
        return tuple(
            sorted(
                found,
                key=lambda e: (not any(w in e.name.lower() for w in words), e.name),
            )
        )

    def problems_of(self, entry: NamedSignature) -> Iterator[str]:
        """Give what is wrong with *entry*, by itself and with the others."""
        if self._versions[entry.name][entry.version] is not entry:
            yield f"there is another {entry.key}"
        for alias in entry.aliases:
            problem = name_problem(alias)
            if problem is not None:
                yield f"alias {problem}"
            elif alias in self._versions:
                yield f"alias {alias} is the name of a signature"
            elif self._names[alias] != entry.name:
                yield f"alias {alias} is one of {self._names[alias]}"
        yield from entry.reading().problems

    def _hint(self, said: str) -> str:
        close = get_close_matches(said, {*self._versions, *self._names}, n=1)
        return f"; did you mean {close[0]}?" if close else ""


NO_LIBRARY: Final = Library()


def split_key(key: str) -> tuple[str, int] | None:
    """Return name and version of ``triage@2``; None if *key* is not written so."""
    match = _KEY.fullmatch(key)
    if match is None or name_problem(match[1]) is not None:
        return None
    return match[1], int(match[2])


def _said_by(entry: NamedSignature) -> str:
    parts = (
        entry.name,
        *entry.aliases,
        *sorted(entry.tags),
        entry.description,
        entry.instructions,
        entry.text,
    )
    return "\n".join(parts).lower()
