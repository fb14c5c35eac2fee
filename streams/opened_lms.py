"""The LMs of a pipeline, opened once for all stages that ask them."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from streams.errors import ConfigError
from streams.stage import LM

OpenLM = Callable[[str, Mapping[str, Any]], LM]
"""From a name and its options to an LM; raises ConfigError."""


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
