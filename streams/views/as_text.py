"""A drawing for a terminal: borders and arrows out of characters."""

from streams.views.drawing import Drawing
from streams.views.layout import Arrow, Rect, Shape, Words, layout_of


def text_of(drawing: Drawing) -> str:
    """Return *drawing* as lines of text, without a last newline."""
    layout = layout_of(drawing)
    canvas = [[" "] * layout.width for _ in range(layout.height)]
    for shape in layout.shapes:
        _paint(canvas, shape)
    return "\n".join("".join(row).rstrip() for row in canvas)


def _paint(canvas: list[list[str]], shape: Shape) -> None:
    match shape:
        case Words():
            _write(canvas, shape.x, shape.y, shape.text)
        case Arrow():
            for y in range(shape.y, shape.y + shape.height - 1):
                _write(canvas, shape.x, y, "│")
            _write(canvas, shape.x, shape.y + shape.height - 1, "▼")
        case Rect():
            _border(canvas, shape)


def _border(canvas: list[list[str]], rect: Rect) -> None:
    line = "─" * (rect.width - 2)
    bottom = rect.y + rect.height - 1
    _write(canvas, rect.x, rect.y, f"┌{line}┐")
    for y in range(rect.y + 1, bottom):
        _write(canvas, rect.x, y, "│")
        _write(canvas, rect.x + rect.width - 1, y, "│")
    _write(canvas, rect.x, bottom, f"└{line}┘")
    if rect.title:
        _write(canvas, rect.x + 2, rect.y, f" {rect.title} ")


def _write(canvas: list[list[str]], x: int, y: int, text: str) -> None:
    canvas[y][x : x + len(text)] = text
