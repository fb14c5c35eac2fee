"""Named signatures as files have them: a ``signatures:`` section, or a folder of those.

    signatures:
      triage@2:
        signature: "ticket -> category: Literal['billing', 'bug']"
        aliases: [classify]
        tags: [support]
        description: Sort a ticket.
        instructions: What a customer wrote is what matters.
      polite@1: "reply -> reply"

A pipeline file may have the section; the files in ``signatures/`` beside pipeline files
have nothing else but ``types:``, and belong to all pipelines there.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from streams.language.problems import Problems
from streams.language.section import Section
from streams.language.yaml_text import plain_values
from streams.signatures.library import Library, NamedSignature, split_key
from streams.signatures.parse import Types
from streams.signatures.records import read_types
from streams.signatures.types import RecordOf

FOLDER: Final = "signatures"
"""Beside the pipeline files."""

_KEYS: Final = ("signature", "instructions", "aliases", "tags", "description")


def read_signatures(section: Section, types: Types) -> Iterator[NamedSignature]:
    """Give the signatures of a ``signatures:`` section; the rest goes to *section*."""
    for key, value in section.values.items():
        named = split_key(key)
        if named is None:
            section.wrong_key(key, f"{key!r} is not written name@version: triage@2")
            continue
        name, version = named
        if isinstance(value, str):
            yield NamedSignature(name=name, version=version, text=value, types=types)
            continue
        entry = section.sub(key)
        if not entry.readable:
            continue
        entry.only(_KEYS)
        text = entry.text("signature", needed=True)
        if text is not None:
            yield NamedSignature(
                name=name,
                version=version,
                text=text,
                types=types,
                instructions=entry.text("instructions") or "",
                aliases=tuple(_texts(entry, "aliases")),
                tags=frozenset(_texts(entry, "tags")),
                description=entry.text("description") or "",
            )


def check_library(library: Library, section: Section, before: Library) -> None:
    """Note what is wrong with the signatures of *section*, which *before* lacks."""
    for entry in library.entries[len(before.entries) :]:
        for sentence in library.problems_of(entry):
            section.wrong(entry.key, sentence)


def read_library(folder: Path) -> tuple[Library, list[str]]:
    """Return the signatures of the folder beside the pipeline files, and problems.

    Those with problems are there as well, so that nobody says that they are missing.
    """
    library, found = Library(), list[str]()
    records: dict[str, RecordOf] = {}
    paths = (folder / FOLDER).glob("*")
    for path in sorted(p for p in paths if p.suffix in (".yaml", ".yml")):
        problems = Problems(str(path))
        top = _top(path, problems)
        if top is not None:
            types = _types(top, records)
            section = top.sub("signatures", needed=True)
            more = library.plus(read_signatures(section, types))
            check_library(more, section, library)
            library = more
        found += problems.found
    return library, found


def _top(path: Path, problems: Problems) -> Section | None:
    try:
        plain = plain_values(path.read_text(encoding="utf-8"), problems)
    except (OSError, UnicodeDecodeError) as error:
        problems.add("", f"cannot be read: {error}")
        return None
    if not isinstance(plain, Mapping):
        if not problems.found:
            problems.add("", "must be a mapping that has `signatures:`")
        return None
    top = Section(plain, "", problems)
    top.only(("types", "signatures"))
    return top


def _types(top: Section, records: dict[str, RecordOf]) -> Types:
    """Return the types of one file; *records* are those of the files before it."""
    section = top.sub("types")
    types, problems = read_types(section.texts())
    for name, sentence in problems:
        section.wrong(name, sentence)
    for name, record in types.records.items():
        # Two records of one name could not stand in one schema.
        if records.setdefault(name, record) != record:
            section.wrong(name, "another file has another type of this name")
    return types


def _texts(entry: Section, key: str) -> list[str]:
    values = entry.get(key)
    if values is None:
        return []
    if isinstance(values, list) and all(isinstance(v, str) and v for v in values):
        return values
    entry.wrong(key, "must be a list of texts")
    return []
