"""The pages of the documentation: their blocks, inline code and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE: Final = re.compile(r"^(?P<mark>```+)(?P<language>\S*)\s*$")
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Give the fenced blocks of *page*."""
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        match = _FENCE.match(line)
        if opened is None and match:
            opened, lines = (number, match["mark"], match["language"]), []
        elif opened and match and match["mark"] == opened[1] and not match["language"]:
            text = "\n".join(lines) + "\n"
            yield Block(page=page, line=opened[0], language=opened[2], text=text)
            opened = None
        elif opened:
            lines.append(line)
    assert opened is None, f"{page}: the block of line {opened} is never closed"


def prose_of(page: Path) -> str:
    """Return *page* without its fenced blocks."""
    lines = page.read_text(encoding="utf-8").splitlines()
    inside = False
    kept = []
    for line in lines:
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def inline_of(page: Path) -> list[str]:
    """Return the inline code of *page*."""
    return _INLINE.findall(prose_of(page))


def links_of(page: Path) -> list[str]:
    """Return the targets of the links in *page*."""
    return _LINK.findall(_INLINE.sub("", prose_of(page)))


def anchors_of(page: Path) -> set[str]:
    """Return what a link to a heading of *page* may say."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }
