"""A drawing as Mermaid text, which wikis and code hosts show as a flowchart."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from streams.views.drawing import Box, Drawing, Figure, Frame, Order

_ESCAPES: Final = str.maketrans(
    {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
)
"""Mermaid's own entities; its labels are HTML otherwise."""


def mermaid_of(drawing: Drawing) -> str:
    """Return *drawing* as the text of a flowchart, without a last newline."""
    chart = _Chart()
    chart.add("flowchart TD")
    chart.deeper()
    first = chart.node("([", drawing.inputs, "])")
    body = chart.figure(drawing.body)
    last = chart.node("([", drawing.outputs, "])")
    chart.link([first], body.first or [last])
    chart.link(body.last, [last])
    return "\n".join(chart.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Where arrows into a figure and out of it are tied."""

    first: list[str]
    last: list[str]

    @classmethod
    def at(cls, name: str) -> "_Ends":
        """Return the ends of something that is one node, or one frame."""
        return cls(first=[name], last=[name])


class _Chart:
    """The lines so far; every node and every frame has an id of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 0
        self._ids = self._numbers()

    def add(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    def deeper(self) -> None:
        self._depth += 1

    def node(self, opened: str, texts: tuple[str, ...], closed: str) -> str:
        """Add a node that shows *texts*; return its id."""
        name = next(self._ids)
        label = (", " if opened == "([" else "<br/>").join(map(_escaped, texts))
        self.add(f'{name}{opened}"{label}"{closed}')
        return name

    def link(self, sources: list[str], targets: list[str]) -> None:
        """Add an arrow from each of *sources* to each of *targets*."""
        for source in sources:
            for target in targets:
                self.add(f"{source} --> {target}")

    def figure(self, figure: Figure) -> _Ends:
        """Add *figure* with all that is in it."""
        match figure:
            case Box():
                return _Ends.at(self.node("[", (figure.name, *figure.notes), "]"))
            case Frame():
                return _Ends.at(self._subgraph(figure))
            case Order():
                return self._order(figure)

    def _subgraph(self, frame: Frame) -> str:
        name = self._open(frame.title)
        for part in frame.parts:
            if part.label:
                self._open(part.label)
            if not self.figure(part.figure).first:
                self.node("[", ("nothing",), "]")
            if part.label:
                self._close()
        self._close()
        return name

    def _order(self, order: Order) -> _Ends:
        ends = [self.figure(figure) for figure in order.figures]
        last = set(range(len(ends)))
        first: list[str] = []
        for end, after in zip(ends, order.after, strict=True):
            last -= after
            # An arrow from each that nothing else it waits for waits for in turn.
            for index in sorted(after - _before(order, after)):
                self.link(ends[index].last, end.first)
            if not after:
                first += end.first
        ending = [name for index in sorted(last) for name in ends[index].last]
        return _Ends(first=first, last=ending)

    def _open(self, title: str) -> str:
        name = next(self._ids)
        self.add(f'subgraph {name}["{_escaped(title)}"]')
        self._depth += 1
        return name

    def _close(self) -> None:
        self._depth -= 1
        self.add("end")

    @staticmethod
    def _numbers() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"n{number}"


def _before(order: Order, indexes: frozenset[int]) -> frozenset[int]:
    """Return all that *indexes* wait for, directly or not."""
    found: set[int] = set()
    left = [before for index in indexes for before in order.after[index]]
    while left:
        index = left.pop()
        if index not in found:
            found.add(index)
            left += order.after[index]
    return frozenset(found)


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
