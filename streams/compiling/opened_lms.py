"""The LMs of a pipeline, opened once for all stages that ask them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from streams.errors import ConfigError
from streams.stage import LM, Answer, LMCall

OpenLM = Callable[[str, Mapping[str, Any]], LM]
"""From a name and its options to an LM; raises ConfigError."""

CheckLM = Callable[[Mapping[str, Any]], Sequence[str]]
"""What is wrong with options as they stand: each sentence begins with its option.
Whether there is a key, only who asks the LM has to know."""


def nothing_wrong(_options: Mapping[str, Any]) -> Sequence[str]:
    """Check nothing."""
    return ()


class UnknownLM:
    """Stands for an LM that could not be opened, so that its stage can be checked."""

    name = "unknown"
    fingerprint = "unknown"

    def available(self) -> bool:
        """Say no."""
        return False

    async def complete(self, stage: str, call: LMCall) -> Answer:
        """Answer nothing: no pipeline with a problem runs.

        Raises:
            ConfigError: always.
        """
        raise ConfigError([f"stage {stage} has no LM"])

    async def aclose(self) -> None:
        """Close nothing."""


class OpenedLMs:
    """Opens LMs. Two of one name and the same options are one, whoever asks."""

    def __init__(self, open_lm: OpenLM) -> None:
        self._open = open_lm
        self._found: dict[tuple[str, bytes], LM | ConfigError] = {}

    def get(self, name: str, options: Mapping[str, Any]) -> LM:
        """Return the LM called *name*.

        Raises:
            ConfigError: its options are wrong, each problem begins with one.
        """
        key = name, orjson.dumps(options, default=str, option=orjson.OPT_SORT_KEYS)
        if key not in self._found:
            self._found[key] = self._opened(name, options)
        found = self._found[key]
        if isinstance(found, ConfigError):
            raise found
        return found

    def all(self) -> tuple[LM, ...]:
        """Return all that are open."""
        return tuple(
            lm for lm in self._found.values() if not isinstance(lm, ConfigError)
        )

    def _opened(self, name: str, options: Mapping[str, Any]) -> LM | ConfigError:
        try:
            return self._open(name, options)
        except ConfigError as error:
            return error
