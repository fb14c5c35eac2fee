"""User code of the ``summary`` pipeline: parts that end where paragraphs end."""

from typing import Final, TypedDict

CHARS: Final = 4_000
"""Longest part, if no paragraph is longer."""


class Split(TypedDict):
    """What :func:`split` leaves."""

    chunks: list[str]
    parts: int


def split(text: str) -> Split:
    """Cut *text* between paragraphs, and within one only if it is too long."""
    chunks: list[str] = []
    for paragraph in _paragraphs(text):
        if chunks and len(chunks[-1]) + len(paragraph) + 2 <= CHARS:
            chunks[-1] += "\n\n" + paragraph
        else:
            chunks.append(paragraph)
    return {"chunks": chunks, "parts": len(chunks)}


def _paragraphs(text: str) -> list[str]:
    found = [paragraph.strip() for paragraph in text.split("\n\n")]
    pieces = [
        paragraph[at : at + CHARS]
        for paragraph in found
        for at in range(0, len(paragraph), CHARS)
    ]
    return pieces or [text]
