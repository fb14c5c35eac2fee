"""YAML into plain values, strictly: no key twice, no key but text, no cycles.

PyYAML keeps the last of two equal keys without a word, and reads the key ``on`` as
true. Here keys are what the file says, and a repeated one is a problem. Where
everything stands is remembered, so that every later problem has its line and column.
"""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from streams.problems import At, Problems, Spot

Plain = Any
"""None, bool, int, float, str, and lists and dicts of them."""

_QUOTES: Final = ("'", '"')


def plain_values(text: str, problems: Problems) -> Plain:
    """Return what *text* says; None, and a problem, if it is no YAML.

    *problems* knows the places in *text* from then on.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        reader = _Reader(loader, text, problems)
        problems.look_in(reader.spots)
        return reader.value(node, "", _at(node.start_mark))
    except yaml.YAMLError as error:
        problems.add_at("", f"no YAML: {_told_by(error)}", _place_of(error))
        return None
    finally:
        loader.dispose()


class _Reader:
    """Turns nodes into values, and knows where it is."""

    def __init__(self, loader: yaml.SafeLoader, text: str, problems: Problems) -> None:
        self.spots: dict[str, Spot] = {}
        """Where everything is, by its path: ``stages.classify.timeout``."""
        self._loader = loader
        self._lines = text.split("\n")
        self._problems = problems
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: str, key: At) -> Plain:
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
            if name is None:
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
