"""YAML into plain values, strictly: no key twice, no key but text, no cycles.

PyYAML keeps the last of two equal keys without a word, and reads the key ``on`` as
true. Here keys are what the file says, and a repeated one is a problem. Where
everything stands is remembered, so that every later problem has its line and column.
"""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from streams.language.problems import At, Problems, Spot

Plain = Any
"""None, bool, int, float, str, and lists and dicts of them."""

MAX_CHARACTERS: Final = 1_048_576
"""Of a file; PyYAML takes seconds for so much."""

MAX_VALUES: Final = 100_000
"""Of a file, with what aliases repeat: nine of nine of nine would fill the memory."""

_QUOTES: Final = ("'", '"')


def plain_values(text: str, problems: Problems) -> Plain:
    """Return what *text* says; None, and a problem, if it is no YAML.

    *problems* knows the places in *text* from then on.
    """
    if len(text) > MAX_CHARACTERS:
        problems.add("", f"has more than {MAX_CHARACTERS} characters")
        return None
    try:
        return _read(text, problems)
    except yaml.YAMLError as error:
        problems.add_at("", f"no YAML: {_told_by(error)}", _place_of(error))
    except RecursionError:
        problems.add("", "is nested too deep")
    except _TooManyError:
        problems.add("", f"has more than {MAX_VALUES} values, aliases written out")
    return None


def _read(text: str, problems: Problems) -> Plain:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        reader = _Reader(loader, text, problems)
        problems.look_in(reader.spots)
        return reader.value(node, "", _at(node.start_mark))
    finally:
        loader.dispose()


class _TooManyError(Exception):
    """The aliases of a file stand for more than anybody means."""


class _Reader:
    """Turns nodes into values, and knows where it is."""

    def __init__(self, loader: yaml.SafeLoader, text: str, problems: Problems) -> None:
        self.spots: dict[str, Spot] = {}
        """Where everything is, by its path: ``stages.classify.timeout``."""
        self._loader = loader
        self._lines = text.split("\n")
        self._problems = problems
        self._open: set[int] = set()
        self._values = 0

    def value(self, node: yaml.Node, path: str, key: At) -> Plain:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _TooManyError
        self.spots.setdefault(path, self._spot(node, key))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._problems.add(path, "contains itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return self._list(node, path)
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Plain:
        if not _is_unicode(node.value):
            self._problems.add(path, "is no Unicode text")
            return None
        try:
            return self._loader.construct_object(node)
        except ValueError as error:
            # What looks like a date and is none; as a text it needs quotes.
            self._problems.add(path, f"{error}; put it in quotes, if it is a text")
            return None

    def _list(self, node: yaml.SequenceNode, path: str) -> list[Plain]:
        return [
            self.value(item, _under(path, str(index)), _at(item.start_mark))
            for index, item in enumerate(node.value, start=1)
        ]

    def _mapping(self, node: yaml.Node, path: str) -> dict[str, Plain]:
        values: dict[str, Plain] = {}
        for key, item in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            where, at = _under(path, str(name)), _at(key.start_mark)
            if name is None or not _is_unicode(name):
                self._problems.add_at(path, "a key must be text", at)
            elif name in values:
                again = f"is here twice, again in line {at[0]}"
                self._problems.add_at(where, again, at)
            else:
                values[name] = self.value(item, where, at)
        return values

    def _spot(self, node: yaml.Node, key: At) -> Spot:
        if not isinstance(node, yaml.ScalarNode):
            return Spot(key=key, value=key)
        return Spot(
            key=key, value=_at(node.start_mark), lines=tuple(self._lines_of(node))
        )

    def _lines_of(self, node: yaml.ScalarNode) -> Iterator[At]:
        """Give the places where the lines of a text begin, up to one that differs."""
        line, column = _at(node.start_mark)
        lines = node.value.split("\n")
        if node.style == "|":
            for number, said in enumerate(lines, line + 1):
                written = self._line(number)
                if not written.endswith(said):
                    return
                yield number, len(written) - len(said) + 1
        elif node.start_mark.line == node.end_mark.line:
            column += node.style in _QUOTES
            if self._line(line).startswith(lines[0], column - 1):
                yield line, column

    def _line(self, number: int) -> str:
        return self._lines[number - 1] if number <= len(self._lines) else ""


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_unicode(text: str) -> bool:
    """Say whether *text* has no half of a character: YAML can write one, escaped."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _at(mark: yaml.Mark) -> At:
    return mark.line + 1, mark.column + 1


def _place_of(error: Exception) -> At | None:
    mark = getattr(error, "problem_mark", None)
    return None if mark is None else _at(mark)


def _told_by(error: Exception) -> str:
    at, told = _place_of(error), [str(error)]
    if isinstance(error, yaml.MarkedYAMLError):
        told = [part for part in (error.context, error.problem) if part]
    if at is not None:
        told.append(f"in line {at[0]}, column {at[1]}")
    return " ".join(", ".join(told).split())
