"""What a prompt says of values beyond their type: bounds, patterns, how dates look.

A field's description has it in words, ``1 to 80 characters; matching [A-Z]{2}``, as
``streams/signatures/told.py`` writes them.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

DATES: Final = {
    "YYYY-MM-DD": "2026-02-28",
    "YYYY-MM-DDThh:mm:ssZ": "2026-02-28T12:00:00Z",
}

LONGEST: Final = 40
"""Characters of a word that may be one of a pattern."""

_BOUNDS: Final = re.compile(
    r"(?:(?P<low>-?[\d.]+) to |at least (?P<least>-?[\d.]+)|at most )"
    r"(?:(?P<high>-?[\d.]+))?(?: (?:characters|items|entries))?(?=$|[;)])"
)
_MATCHING: Final = re.compile(r"matching (.+?)\)?$")
_ATOM: Final = re.compile(
    r"(?P<atom>\\[pP]\{[^}]*\}|\\.|\[(?:\\.|[^\]])*\]|[^\\\[\](){}*+?|^$])"
    r"(?P<count>\{\d+(?:,\d*)?\}|[*+?])?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What values of one field keep to."""

    low: float | None = None
    high: float | None = None
    pattern: str | None = None
    date: str | None = None
    """A day or a moment, as it is to be written."""

    @classmethod
    def of(cls, description: str) -> Self:
        """Read the rules out of *description*; most have none."""
        matching = _MATCHING.search(description)
        said = description[: matching.start()] if matching else description
        bounds = _BOUNDS.search(said)
        low = bounds and (bounds["low"] or bounds["least"])
        high = bounds and bounds["high"]
        date = next((DATES[d] for d in sorted(DATES, reverse=True) if d in said), None)
        return cls(
            low=float(low) if low else None,
            high=float(high) if high else None,
            pattern=matching[1] if matching else None,
            date=date,
        )

    def number(self, value: float) -> float:
        """Return *value*, or the nearest within the bounds."""
        low, high = self.low, self.high
        value = value if low is None else max(low, value)
        return value if high is None else min(high, value)

    def text(self, value: str) -> str:
        """Return *value* cut or filled up to its length, or one of the pattern."""
        if self.date is not None:
            return self.date
        if self.pattern is not None:
            return matching(self.pattern, value)
        value = value if self.high is None else value[: int(self.high)].rstrip()
        return value.ljust(int(self.low or 0), ".")

    def count(self, found: int) -> int:
        """Return how many items a list of about *found* has."""
        return int(self.number(found))


def matching(pattern: str, value: str) -> str:
    """Return a word of *value* that *pattern* describes, or the plainest such text.

    Of plain patterns: classes, counts, literal characters. No demo needs more.
    """
    for word in [value, *value.split()]:
        if _fullmatch(pattern, word.strip(".,;:!?")):
            return word.strip(".,;:!?")
    return "".join(
        _plainest(atom["atom"]) * _least(atom["count"])
        for atom in _ATOM.finditer(pattern)
    )


def _fullmatch(pattern: str, word: str) -> bool:
    # Short words and plain patterns only: Python's engine backtracks.
    if len(word) > LONGEST or _ATOM.sub("", pattern):
        return False
    try:
        return re.fullmatch(pattern, word) is not None
    except re.error:
        return False


def _least(count: str | None) -> int:
    match count:
        case None | "+":
            return 1
        case "*" | "?":
            return 0
        case _:
            return min(1_000, int(count[1:-1].partition(",")[0]))


def _plainest(atom: str) -> str:
    if atom.startswith("["):
        return atom[2] if atom[1] == "\\" else atom[1]
    if not atom.startswith("\\"):
        return "a" if atom == "." else atom
    return {"d": "1", "w": "a", "s": " ", "p": "A", "P": "1"}.get(atom[1], atom[1])
