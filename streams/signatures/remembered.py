"""A memory of what texts mean: the last used ones stay, within a bound of their bytes.

``functools.lru_cache`` counts entries only: five hundred long texts would be as good to
it as five hundred short ones.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")
Context = TypeVar("Context")


class Remembered(Generic[Value, Context]):
    """What *make* returns for a text and its context, made again once forgotten.

    Safe to be asked by several threads; two that ask for the same at once may both
    make it, and get equal values.
    """

    def __init__(
        self,
        make: Callable[[str, Context], Value],
        *,
        max_entries: int,
        max_bytes: int,
    ) -> None:
        self._make = make
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._values: OrderedDict[tuple[str, Context], Value] = OrderedDict()
        self.size_bytes = 0
        """Of the texts that are remembered, as they are held in memory."""

    def __len__(self) -> int:
        return len(self._values)

    def __call__(self, text: str, context: Context) -> Value:
        """Return the value of *text*; a text beyond the bound is not remembered."""
        key = (text, context)
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = self._make(text, context)
        with self._lock:
            self._keep(key, value)
        return value

    def _keep(self, key: tuple[str, Context], value: Value) -> None:
        if key in self._values:
            return
        self._values[key] = value
        self.size_bytes += sys.getsizeof(key[0])
        while len(self._values) > self._max_entries or (
            self.size_bytes > self._max_bytes
        ):
            (oldest, _), _ = self._values.popitem(last=False)
            self.size_bytes -= sys.getsizeof(oldest)
