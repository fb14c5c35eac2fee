"""Problems of a file, collected: all of them are reported at once."""

from collections.abc import Iterable
from difflib import get_close_matches

from streams.errors import ConfigError


class Problems:
    """What is wrong with one file: sentences, each with its place in the file."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.found: list[str] = []

    def add(self, path: str, sentence: str) -> None:
        """Note that *sentence* is true at *path*, ``stages.classify.timeout``."""
        place = f"{self._where}: {path}" if path else self._where
        self.found.append(f"{place}: {sentence}")

    def add_all(self, path: str, sentences: Iterable[str]) -> None:
        """Note several sentences about one place."""
        for sentence in sentences:
            self.add(path, sentence)

    def add_options(self, path: str, sentences: Iterable[str]) -> None:
        """Note sentences that begin with an option below *path*: ``model: ...``."""
        for sentence in sentences:
            self.found.append(f"{self._where}: {path}.{sentence}")

    def raise_any(self) -> None:
        """Raise all problems, if there are any.

        Raises:
            ConfigError: with every problem.
        """
        if self.found:
            raise ConfigError(self.found)


def meant(name: str, known: Iterable[str]) -> str:
    """Return a hint behind an unknown *name*: the one meant, else all known ones."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names)}" if names else "there are none"
