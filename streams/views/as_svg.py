"""A drawing as SVG: one picture that stands by itself, readable on light and dark."""

from typing import Final
from xml.sax.saxutils import escape

from streams.views.drawing import Drawing
from streams.views.layout import Arrow, Rect, Shape, Words, layout_of

CELL: Final = (8, 20)
"""Width and height of a cell in pixels: of one character of monospaced text."""
MARGIN: Final = 12
"""Pixels around the drawing."""

# Colours of the page are not known: the reader's scheme decides, and where nobody
# says, a grey that can be read on both.
STYLE: Final = """
text { font: 13px ui-monospace, monospace; fill: #57606a; }
.strong { font-weight: bold; }
rect, line, .frame { fill: none; stroke: #768390; }
marker path { fill: #768390; }
@media (prefers-color-scheme: dark) { text { fill: #adbac7; } }
""".strip()

HEAD: Final = (
    '<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
    'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>'
)


def svg_of(drawing: Drawing) -> str:
    """Return *drawing* as an SVG document, with a title and a description."""
    layout = layout_of(drawing)
    width = layout.width * CELL[0] + 2 * MARGIN
    height = layout.height * CELL[1] + 2 * MARGIN
    told = f"from {', '.join(drawing.inputs)} to {', '.join(drawing.outputs)}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f' width="{width}" height="{height}" role="img"',
        ' aria-labelledby="title description">',
        f'<title id="title">Pipeline {escape(drawing.title)}</title>',
        f'<desc id="description">The flow {escape(told)}.</desc>',
        f"<style>{STYLE}</style>",
        f"<defs>{HEAD}</defs>",
        f'<g transform="translate({MARGIN} {MARGIN})">',
        *map(_shape, layout.shapes),
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines)


def _shape(shape: Shape) -> str:
    x, y = shape.x * CELL[0], shape.y * CELL[1]
    match shape:
        case Words():
            return _text(x, y, shape.text, "strong" if shape.strong else "plain")
        case Arrow():
            bottom = y + shape.height * CELL[1]
            ends = f'x1="{x}" y1="{y}" x2="{x}" y2="{bottom}"'
            return f'<line {ends} marker-end="url(#head)"/>'
        case Rect():
            return _rect(shape, x, y)


def _rect(rect: Rect, x: int, y: int) -> str:
    # A border runs through the middle of its cells, as its characters do, and leaves
    # room for its title: what is behind it could have any colour.
    left, top = x + CELL[0] // 2, y + CELL[1] // 2
    right, bottom = left + (rect.width - 1) * CELL[0], top + (rect.height - 1) * CELL[1]
    if not rect.title:
        size = f'width="{right - left}" height="{bottom - top}"'
        return f'<rect x="{left}" y="{top}" {size} rx="5"/>'
    begin, title = x + 3 * CELL[0], rect.title
    end = begin + (len(title) + 1) * CELL[0]
    path = f"M{end} {top}H{right}V{bottom}H{left}V{top}H{begin - CELL[0]}"
    return f'<path class="frame" d="{path}"/>{_text(begin, y, title, "title")}'


def _text(x: int, y: int, text: str, look: str) -> str:
    # Said how long it is, since nobody knows the reader's monospaced font.
    place = f'x="{x}" y="{y + 15}" textLength="{len(text) * CELL[0]}"'
    return f'<text class="{look}" {place}>{escape(text)}</text>'
