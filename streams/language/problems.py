"""Problems of a file, collected: all of them are reported at once, each with its place.

A problem is a text, ``desk.yaml: stages.draft.lm: is missing``, which is what errors
and logs hold. It also knows its line and column, for who has the file open.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Self

from streams.errors import ConfigError

At = tuple[int, int]
"""Line and column in a file, both from 1; columns are characters."""

_INSIDE: Final = re.compile(r"(?:line (\d+), )?column (\d+): ")
"""How a sentence about a text begins that knows where in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a file says something."""

    key: At
    """Where its key begins; an item of a list has none, and begins here itself."""
    value: At
    """Where to look for it: a single value itself, anything else at its key."""
    lines: tuple[At, ...] = ()
    """Where each line of its text begins; empty for what is no text, or is not
    written as it reads: folded, or with escapes."""

    def inside(self, line: int, column: int) -> At | None:
        """Return where a character of its text is in the file, if that is known."""
        if line > len(self.lines):
            return None
        at_line, at_column = self.lines[line - 1]
        return at_line, at_column + column - 1


class Problem(str):
    """One sentence about one place in one file.

    A text that knows more, and not a value that has a text: it goes wherever the
    problems of settings and of requests go, which are texts.
    """

    __slots__ = ("column", "line", "path", "sentence", "where")

    where: str
    """The file."""
    path: str
    """``stages.classify.timeout``; empty for the whole file."""
    line: int | None
    """From 1; None where there is no file to look at."""
    column: int | None
    sentence: str
    """What is wrong there; without a column in a signature, where *column* is it."""

    def __new__(
        cls, where: str, path: str, said: str, at: At | None = None, sentence: str = ""
    ) -> Self:
        """Return the text that says *said*; *sentence* if that differs beside *at*."""
        problem = super().__new__(cls, f"{_joined(where, path)}: {said}")
        problem.where, problem.path, problem.sentence = where, path, sentence or said
        problem.line, problem.column = at or (None, None)
        return problem

    @property
    def located(self) -> str:
        """The text as editors read it: ``desk.yaml:12:5: stages.draft.lm: ...``."""
        if self.line is None:
            return str(self)
        where = f"{self.where}:{self.line}:{self.column}"
        return f"{_joined(where, self.path)}: {self.sentence}"


class Problems:
    """What is wrong with one file, in the order in which it was found."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._spots: Mapping[str, Spot] = {}
        self.found: list[str] = []

    def look_in(self, spots: Mapping[str, Spot]) -> None:
        """From now on find places among *spots*, by their paths."""
        self._spots = spots

    def add(self, path: str, sentence: str, *, key: bool = False) -> None:
        """Note that *sentence* is true at *path*, ``stages.classify.timeout``.

        It is about the value there, or about the *key* itself.
        """
        spot = self._spots.get(path)
        if spot is None:
            self.add_at(path, sentence, self._around(path))
            return
        inside = _inside(spot, sentence)
        if inside is None:
            self.add_at(path, sentence, spot.key if key else spot.value)
        else:
            told = _INSIDE.sub("", sentence, count=1)
            self.found.append(Problem(self._where, path, sentence, inside, told))

    def add_at(self, path: str, sentence: str, at: At | None) -> None:
        """Note a sentence whose line and column are known."""
        self.found.append(Problem(self._where, path, sentence, at))

    def add_all(self, path: str, sentences: Iterable[str]) -> None:
        """Note several sentences about one place."""
        for sentence in sentences:
            self.add(path, sentence)

    def add_options(self, path: str, sentences: Iterable[str]) -> None:
        """Note sentences that begin with an option below *path*: ``model: ...``."""
        for told in sentences:
            option, _, sentence = told.partition(": ")
            self.add(f"{path}.{option}", sentence)

    def paths(self) -> set[str]:
        """Return the places of all problems."""
        return {each.path for each in self.found if isinstance(each, Problem)}

    def raise_any(self) -> None:
        """Raise all problems, if there are any.

        Raises:
            ConfigError: with every problem.
        """
        if self.found:
            raise ConfigError(self.found)

    def _around(self, path: str) -> At | None:
        """Return the key of the nearest thing above *path* that the file has."""
        while path:
            path = path.rpartition(".")[0]
            if path in self._spots:
                return self._spots[path].key
        return None


def located(problem: str) -> str:
    """Return *problem* with its line and column, if it knows them."""
    return problem.located if isinstance(problem, Problem) else problem


def meant(name: str, known: Iterable[str]) -> str:
    """Return a hint behind an unknown *name*: the one meant, else all known ones."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names)}" if names else "there are none"


def _joined(where: str, path: str) -> str:
    return f"{where}: {path}" if path else where


def _inside(spot: Spot, sentence: str) -> At | None:
    told = _INSIDE.match(sentence)
    return None if told is None else spot.inside(int(told[1] or 1), int(told[2]))
