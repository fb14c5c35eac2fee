"""Clocks: the only place that reads the time, and a clock that tests can turn."""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """What the house asks about time."""

    def now_ms(self) -> int:
        """Return the wall clock in milliseconds since the epoch; it may jump."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never go back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Come back after *seconds*."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()  # noqa: TID251 - this is the one place

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class ManualClock:
    """A clock that stands still until it is told otherwise; sleepers turn it."""

    at_ms: int = 1_700_000_000_000
    at_s: float = 0.0

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        """Move on by *seconds* at once, and let others run."""
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Move both clocks on by *seconds*."""
        self.at_ms += round(seconds * 1_000)
        self.at_s += seconds
