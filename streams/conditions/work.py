"""How much a condition would look at, worked out before it is asked.

CEL runs on the event loop and keeps the interpreter to itself, so a thread would not
help. It takes at most 10,000 steps through lists, but a step may read a whole text: a
megabyte in each was 18 seconds. So the size of what is read is multiplied, roughly and
never too low, with how often it can be read; beyond a bound the condition has no value.
A request's size decides, and no clock: each worker says the same.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from streams.signatures.patterns import MAX_WEIGHT, weight_of

LIMIT: Final = 100_000_000
"""Units of one evaluation: half a second at the worst measured, most often a tenth."""

ELEMENT: Final = 50
"""Units of an element of a list or dict; a character has one."""

HANDED_OVER: Final = 4
"""Times that a value costs as much as being read, to be made one of CEL's."""

PATTERN: Final = 20
"""Units that a character costs for each part of a pattern, in RE2's slowest way."""

STEPS: Final = 10_000
"""That CEL itself allows."""

_WORD: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OVER: Final = r"\s*\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\("
_MACRO: Final = re.compile(r"\b(?:all|exists|exists_one|existsOne|map|filter)\b")
_MAP: Final = re.compile(r"\bmap\b")
_MATCHES: Final = re.compile(r"\bmatches\s*(?:\(|//)")
_WRITTEN_OUT: Final = re.compile(
    r"""\bmatches\s*\(\s*(r?)(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)")\s*\)"""
)
_CODE: Final = re.compile(r"\\[xXuU0-7]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the text of a condition says of its work."""

    words: Mapping[str, int]
    """How often each field is read as a whole; 0 if only its elements are."""
    base: int
    """Units of a step that reads nothing large."""
    macros: int
    """Ways through a list, one perhaps within the other."""
    commas: int
    uses: int
    """How often an element is read at most, whatever it is called."""
    growth: int
    """How much longer than what was read a text can become."""
    matching: int
    """How much more a character costs that is matched."""

    @classmethod
    def of(cls, text: str, fields: Iterable[str]) -> Self:
        """Return the work of *text*, which reads *fields*."""
        macros, maps = len(_MACRO.findall(text)), len(_MAP.findall(text))
        commas, sums = text.count(","), text.count("+")
        # Only what map makes can be put together again and again.
        larger = (1 + max(0, commas - macros)) ** maps * 2**sums if maps else 1 + sums
        parts = sum(weight_of(pattern) for pattern in _patterns(text))
        often = Counter(_WORD.findall(text)).most_common(1)
        return cls(
            words={name: _whole_reads(name, text) for name in fields},
            base=len(text),
            macros=macros,
            commas=commas,
            uses=often[0][1] if often else 0,
            growth=min(larger, LIMIT),
            matching=1 + PATTERN * parts,
        )

    def is_too_much(self, values: Mapping[str, Any]) -> bool:
        """Say whether *values* of the fields are too large to be asked about."""
        whole = step = elements = 0
        for name, reads in self.words.items():
            size = _Size.of(values[name])
            whole += size.units
            elements += size.elements
            step += size.units * reads if reads else size.largest * self.uses
            if whole * HANDED_OVER > LIMIT:
                return True
        one = (self.base + step * self.matching) * self.growth
        return self._steps(elements) * one > LIMIT

    def _steps(self, elements: int) -> int:
        if not self.macros:
            return 1
        most = elements + self.commas + 1
        steps: int = self.macros * most ** min(self.macros, 4)
        return min(STEPS, steps)


class _Size:
    """How large a value is."""

    __slots__ = ("elements", "largest", "units")

    def __init__(self) -> None:
        self.units = 0
        self.elements = 0
        self.largest = 0
        """Units of the largest element at the top."""

    @classmethod
    def of(cls, value: object) -> Self:
        size = cls()
        size._add(value)
        return size

    def _add(self, value: object) -> None:
        match value:
            case str() | bytes():
                self.units += len(value)
            case Mapping():
                self._each(value.values(), len(value))
                self.units += sum(map(len, value))
            case Sequence():
                self._each(value, len(value))
            case _:
                pass

    def _each(self, items: Iterable[object], count: int) -> None:
        self.elements += count
        self.units += count * ELEMENT
        largest = 0
        for item in items if self.units * HANDED_OVER <= LIMIT else ():
            if isinstance(item, str):
                units = len(item)
                self.units += units
            elif isinstance(item, int | float) or item is None:
                continue
            else:
                before = self.units
                self._add(item)
                units = self.units - before
            largest = max(largest, units)
        self.largest = largest + ELEMENT


def pattern_problems(text: str) -> list[str]:
    """Say which patterns in *text* could take long, whatever they are matched with."""
    patterns = list(_patterns(text))
    if len(patterns) < len(_MATCHES.findall(text)):
        return ["a pattern is written out where it is used: name.matches(r'[a-z]+')"]
    if sum(map(weight_of, patterns)) > MAX_WEIGHT:
        return ["its patterns are too large"]
    return []


def _patterns(text: str) -> Iterable[str]:
    """Give the patterns that are written out; not one that hides what it counts."""
    for raw, single, double in _WRITTEN_OUT.findall(text):
        if raw or not _CODE.search(single + double):
            yield single or double


def _whole_reads(name: str, text: str) -> int:
    found = len(re.findall(rf"\b{re.escape(name)}\b", text))
    return found - len(re.findall(rf"(?<![\w.]){re.escape(name)}{_OVER}", text))
