"""One mapping of a pipeline file, read key by key; what does not fit is a problem."""

from collections.abc import Iterable, Mapping
from typing import Any

from streams.durations import duration_s
from streams.language.problems import Problems, meant
from streams.signatures.names import name_problem


class Section:
    """The mapping at *path*. Reads return None for what is missing or wrong."""

    def __init__(self, value: object, path: str, problems: Problems) -> None:
        self.path = path
        self._problems = problems
        self.values: Mapping[str, Any] = {}
        """What the file says, by key in its order."""
        self.readable = isinstance(value, Mapping)
        """False where it is no mapping: a problem, and reason for no other."""
        if isinstance(value, Mapping):
            self.values = value
        else:
            problems.add(path, "must be a mapping of names to values")

    def __eq__(self, other: object) -> bool:
        """Say whether *other* says the same at the same place."""
        if not isinstance(other, Section):
            return NotImplemented
        return (self.path, self.values) == (other.path, other.values)

    __hash__ = None  # type: ignore[assignment] # equal by what it holds

    def get(self, key: str) -> Any:  # noqa: ANN401 - whatever the file says
        """Return the value as it is."""
        return self.values.get(key)

    def at(self, key: str) -> str:
        """Return the path of *key*; of the section itself, if it is empty."""
        return ".".join(part for part in (self.path, key) if part)

    def wrong(self, key: str, sentence: str) -> None:
        """Note a problem with what stands at *key*."""
        self._problems.add(self.at(key), sentence)

    def wrong_key(self, key: str, sentence: str) -> None:
        """Note a problem with *key* itself, whatever it holds."""
        self._problems.add(self.at(key), sentence, key=True)

    def only(self, known: Iterable[str]) -> None:
        """Note every key that is not *known*."""
        allowed = set(known)
        for key in self.values:
            if key not in allowed:
                self.wrong_key(key, f"is unknown; {meant(key, allowed)}")

    def has(self, key: str) -> bool:
        """Say whether the file has *key*, whatever it holds."""
        return key in self.values

    def sub(self, key: str, *, needed: bool = False) -> "Section":
        """Return the mapping at *key*; an empty one if there is none."""
        if needed and not self.values.get(key):
            self.wrong(key, "is missing")
            return Section({}, self.at(key), self._problems)
        return Section(self.values.get(key, {}), self.at(key), self._problems)

    def text(self, key: str, *, needed: bool = False) -> str | None:
        """Return the text at *key*; empty counts as missing."""
        value = self.values.get(key)
        if isinstance(value, str) and value.strip():
            return value
        if value is not None:
            self.wrong(key, "must be text, and not empty")
        elif needed:
            self.wrong(key, "is missing")
        return None

    def name(self, key: str) -> str | None:
        """Return the name at *key*; it must be there."""
        value = self.text(key, needed=True)
        problem = None if value is None else name_problem(value)
        if problem is not None:
            self.wrong(key, problem)
            return None
        return value

    def names(self) -> list[str]:
        """Return the keys that are proper names; note the others."""
        proper = []
        for key in self.values:
            problem = name_problem(key)
            if problem is None:
                proper.append(key)
            else:
                self.wrong_key(key, problem)
        return proper

    def texts(self) -> dict[str, str]:
        """Return the texts at all proper names; note the others."""
        found = {name: self.text(name, needed=True) for name in self.names()}
        return {name: text for name, text in found.items() if text is not None}

    def whole(self, key: str, *, low: int, high: int) -> int | None:
        """Return the whole number at *key*, if it lies between *low* and *high*."""
        value = self.values.get(key)
        if value is None:
            return None
        if type(value) is int and low <= value <= high:
            return value
        self.wrong(key, f"must be a whole number from {low} to {high}")
        return None

    def truth(self, key: str) -> bool:
        """Return whether *key* is true; missing is false."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.wrong(key, "must be true or false")
        return value is True

    def seconds(self, key: str) -> float | None:
        """Return the duration at *key* in seconds."""
        value = self.values.get(key)
        found = duration_s(value)
        if value is not None and found is None:
            self.wrong(key, "must be a duration above 0: 250ms, 8s, 1m, 1h or 7d")
        return found
