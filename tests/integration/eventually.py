"""Waiting for a condition, with a deadline: tests never sleep to synchronise."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

LOOK_EVERY_S: Final = 0.05

Found = TypeVar("Found")


def eventually(look: Callable[[], Found], *, within_s: float, what: str) -> Found:
    """Return the first true value of *look*; fail with *what* after *within_s*."""
    until_s = time.perf_counter() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.perf_counter() < until_s, f"not within {within_s:g} s: {what}"
        time.sleep(LOOK_EVERY_S)
