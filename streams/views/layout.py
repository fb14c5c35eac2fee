"""Where everything in a drawing stands, in cells: one layout for two looks."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from streams.views.drawing import Box, Drawing, Figure, Frame, Order, Part

GAP: Final = 3
"""Cells between things that stand side by side."""
MARGIN: Final = 2
"""Cells between a border and what is inside, left and right."""
ARROW: Final = 2
"""Rows of an arrow."""
WIDEST: Final = 60
"""Characters in a line of field names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """A border; its title interrupts the upper edge."""

    x: int
    y: int
    width: int
    height: int
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A line of text that begins at a cell."""

    x: int
    y: int
    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """A line down from one row to another, with its head in the last."""

    x: int
    y: int
    height: int


Shape = Rect | Words | Arrow


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Shapes within a rectangle of cells, from its upper left corner."""

    width: int
    height: int
    shapes: tuple[Shape, ...]


def layout_of(drawing: Drawing) -> Layout:
    """Return the whole drawing: what goes in, the flow, what comes out."""
    body = _placed(drawing.body)
    ends = [_fields(drawing.inputs), _fields(drawing.outputs)]
    parts = [ends[0], body, ends[1]] if body.height else ends
    return _below(parts)


def _placed(figure: Figure) -> Layout:
    match figure:
        case Box():
            return _box(figure)
        case Frame():
            return _frame(figure)
        case Order():
            return _below([_level(row) for row in figure.levels()])


def _fields(names: Sequence[str]) -> Layout:
    lines = textwrap.wrap(", ".join(names), WIDEST) or ["nothing"]
    return _lines([Words(x=0, y=y, text=line) for y, line in enumerate(lines)])


def _box(box: Box) -> Layout:
    texts = (box.name, *box.notes)
    words = [Words(x=0, y=y, text=text, strong=y == 0) for y, text in enumerate(texts)]
    return _bordered(_lines(words), "")


def _level(row: Sequence[Figure]) -> Layout:
    if len(row) == 1:
        return _placed(row[0])
    parts = tuple(Part(label="", figure=figure) for figure in row)
    return _frame(Frame(title="at the same time", parts=parts))


def _frame(frame: Frame) -> Layout:
    labelled = any(part.label for part in frame.parts)
    parts = [_part(part, labelled=labelled) for part in frame.parts]
    return _bordered(_beside(parts), frame.title)


def _part(part: Part, *, labelled: bool) -> Layout:
    inner = _placed(part.figure)
    if not inner.height:
        inner = _lines([Words(x=0, y=0, text="nothing")])
    if not labelled:
        return inner
    label = Words(x=0, y=0, text=part.label)
    width = _odd(max(inner.width, len(part.label)))
    moved = _moved(inner, (width - inner.width) // 2, 1)
    label = replace(label, x=(width - len(part.label)) // 2)
    return Layout(width=width, height=inner.height + 1, shapes=(label, *moved))


def _bordered(inner: Layout, title: str) -> Layout:
    width = _odd(max(inner.width, len(title) + 2) + 2 * MARGIN)
    rect = Rect(x=0, y=0, width=width, height=inner.height + 2, title=title)
    moved = _moved(inner, (width - inner.width) // 2, 1)
    return Layout(width=width, height=rect.height, shapes=(rect, *moved))


def _below(parts: Sequence[Layout]) -> Layout:
    """Return *parts* one below the other, an arrow from each to the next."""
    width = max((part.width for part in parts), default=0)
    shapes: list[Shape] = []
    y = 0
    for index, part in enumerate(parts):
        if index:
            shapes.append(Arrow(x=width // 2, y=y, height=ARROW))
            y += ARROW
        shapes += _moved(part, (width - part.width) // 2, y)
        y += part.height
    return Layout(width=width, height=y, shapes=tuple(shapes))


def _beside(parts: Sequence[Layout]) -> Layout:
    shapes: list[Shape] = []
    x = 0
    for part in parts:
        shapes += _moved(part, x, 0)
        x += part.width + GAP
    height = max(part.height for part in parts)
    return Layout(width=x - GAP, height=height, shapes=tuple(shapes))


def _lines(words: Sequence[Words]) -> Layout:
    width = _odd(max(len(line.text) for line in words))
    centred = (replace(w, x=(width - len(w.text)) // 2) for w in words)
    return Layout(width=width, height=len(words), shapes=tuple(centred))


def _odd(width: int) -> int:
    # Of odd widths all have a middle, so that arrows meet what they point at.
    return width | 1


def _moved(layout: Layout, dx: int, dy: int) -> list[Shape]:
    return [replace(s, x=s.x + dx, y=s.y + dy) for s in layout.shapes]
