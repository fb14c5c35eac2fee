"""YAML into plain values, strictly: no key twice, no key but text, no cycles.

PyYAML keeps the last of two equal keys without a word, and reads the key ``on`` as
true. Here keys are what the file says, and a repeated one is a problem.
"""

from typing import Any

import yaml

from streams.problems import Problems

Plain = Any
"""None, bool, int, float, str, and lists and dicts of them."""


def plain_values(text: str, problems: Problems) -> Plain:
    """Return what *text* says; None, and a problem, if it is no YAML."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _Reader(loader, problems).value(node, "")
    except (yaml.YAMLError, ValueError) as error:
        problems.add("", f"no YAML: {_one_line(error)}")
        return None
    finally:
        loader.dispose()


class _Reader:
    """Turns nodes into values, and knows where it is."""

    def __init__(self, loader: yaml.SafeLoader, problems: Problems) -> None:
        self._loader = loader
        self._problems = problems
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: str) -> Plain:
        if isinstance(node, yaml.ScalarNode):
            return self._loader.construct_object(node)
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

    def _list(self, node: yaml.SequenceNode, path: str) -> list[Plain]:
        return [
            self.value(item, _under(path, str(index)))
            for index, item in enumerate(node.value, start=1)
        ]

    def _mapping(self, node: yaml.Node, path: str) -> dict[str, Plain]:
        values: dict[str, Plain] = {}
        for key, item in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            where = _under(path, str(name))
            if name is None:
                self._problems.add(path, "a key must be text")
            elif name in values:
                line = key.start_mark.line + 1
                self._problems.add(where, f"is here twice, again in line {line}")
            else:
                values[name] = self.value(item, where)
        return values


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
