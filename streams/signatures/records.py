"""The records that a file declares under ``types:``, each written as fields.

    types:
      Line: "sku: str, count: int[1..]"
      Order: "lines: list[Line, 1..], note: str | None"

They may stand in any order and hold each other, but never themselves: Avro could, an
LM would not know where to end.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from streams.signatures.grammar import Grammar
from streams.signatures.meaning import SCALARS
from streams.signatures.names import name_problem
from streams.signatures.parse import Types, parse_fields
from streams.signatures.tokens import tokenize
from streams.signatures.tool_records import CALLED_TOOL
from streams.signatures.tree import Applied, Argument, Either, Named
from streams.signatures.types import RecordOf
from streams.signatures.unknown import ALLOWED, BARE

_TAKEN: Final = frozenset({*SCALARS, *ALLOWED, *BARE, CALLED_TOOL.name})


def read_types(texts: Mapping[str, str]) -> tuple[Types, list[tuple[str, str]]]:
    """Return the types of *texts*, fields by name; and problems, each with its type.

    Types with problems are there as well, so that nobody says that they are missing.
    """
    reader = _Reader(texts)
    for name in texts:
        reader.read(name, ())
    return Types(reader.records), reader.problems


class _Reader:
    """Reads types after those that they hold."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self.records: dict[str, RecordOf] = {}
        self.problems: list[tuple[str, str]] = []

    def read(self, name: str, within: tuple[str, ...]) -> None:
        """Read the type *name*, which the types *within* hold."""
        if name in within:
            ring = " > ".join((*within[within.index(name) :], name))
            self.problems.append((name, f"holds itself: {ring}"))
            self.records[name] = RecordOf(name, ())
        if name in self.records:
            return
        text = self._texts[name]
        for held in _names_in(text):
            if held in self._texts:
                self.read(held, (*within, name))
        reading = parse_fields(text, Types(self.records))
        problem = type_name_problem(name)
        if problem is not None:
            self.problems.append((name, problem))
        self.problems += [(name, sentence) for sentence in reading.problems]
        fields = tuple(declared.typed(None) for declared in reading.inputs)
        self.records.setdefault(name, RecordOf(name, fields))


def type_name_problem(name: str) -> str | None:
    """Say why no record can be called *name*; None if one can."""
    if name in _TAKEN:
        return f"{name} is a type already"
    if not name[:1].isupper():
        return f"{name!r} is no name of a type: those begin with a capital letter"
    return name_problem(name)


def _names_in(text: str) -> Iterator[str]:
    """Give the names of types in *text*, as far as it can be read."""
    for node in Grammar(tokenize(text)).fields():
        if node.type is not None:
            yield from _names_of(node.type)


def _names_of(node: Argument) -> Iterator[str]:
    match node:
        case Named():
            yield node.name
        case Applied():
            for argument in node.arguments:
                yield from _names_of(argument)
        case Either():
            for member in node.members:
                yield from _names_of(member)
        case _:
            return
