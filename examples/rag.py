"""User code of the ``rag`` pipeline: BM25 over the files of ``examples/corpus``."""

import math
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final, TypedDict

CORPUS: Final = Path(__file__).parent / "corpus"
BEST: Final = 3

K1: Final = 1.2
B: Final = 0.75
"""The usual parameters of BM25 (Robertson and Zaragoza 2009)."""


class Passage(TypedDict):
    """A paragraph of a document."""

    name: str
    text: str
    score: float


class Shown(TypedDict):
    """What :func:`look_up` leaves."""

    passages: list[Passage]
    shown: list[str]


class Cited(TypedDict):
    """What :func:`known_only` leaves."""

    citations: list[str]


def look_up(question: str) -> Shown:
    """Return the passages that fit *question* best, and their names."""
    asked = set(words(question))
    fitting = [
        Passage(name=name, text=text, score=round(score(asked, name), 3))
        for name, text in passages().items()
        if asked & statistics()[0][name].keys()
    ]
    found = sorted(fitting, key=lambda passage: (-passage["score"], passage["name"]))
    found = found[:BEST]
    return {"passages": found, "shown": [passage["name"] for passage in found]}


def known_only(citations: list[str], shown: list[str]) -> Cited:
    """Write citations as the passages are called, whatever stands around the name."""
    named = [name for name in shown if any(name in said for said in citations)]
    return {"citations": named or citations}


def score(asked: set[str], name: str) -> float:
    """Return the BM25 score of the passage called *name*."""
    counts, mean = statistics()
    here = counts[name]
    length = sum(here.values())
    total = 0.0
    for word in asked & here.keys():
        holding = sum(word in other for other in counts.values())
        idf = math.log(1 + (len(counts) - holding + 0.5) / (holding + 0.5))
        weight = here[word] + K1 * (1 - B + B * length / mean)
        total += idf * here[word] * (K1 + 1) / weight
    return total


@cache
def passages() -> dict[str, str]:
    """Return every paragraph of the corpus by its name, ``file#number``."""
    return {
        f"{path.stem}#{number}": " ".join(text.split())
        for path in sorted(CORPUS.glob("*.md"))
        for number, text in enumerate(path.read_text("utf-8").split("\n\n"), start=1)
        if text.strip() and not text.startswith("#")
    }


@cache
def statistics() -> tuple[dict[str, Counter[str]], float]:
    """Return the words of each passage, and how many a passage has on average."""
    counts = {name: Counter(words(text)) for name, text in passages().items()}
    return counts, sum(c.total() for c in counts.values()) / len(counts)


def words(text: str) -> list[str]:
    """Return the words of *text*, in lower case."""
    return re.findall(r"\w+", text.lower())
