"""The consumer's pulse: its thread runs, the loop in it turns, aiokafka's tasks live.

Each of them can end, or stand still, while everything else looks well. aiokafka (pinned
to 0.14.0) logs that its fetcher died and tells nobody: heartbeats go on, no record ever
comes again, and the worker looks like one that has nothing to do.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from streams.clock import Clock


class ConsumerThread(Protocol):
    """What is asked of Faust's consumer thread."""

    thread_loop: asyncio.AbstractEventLoop
    _thread: Any
    _consumer: Any


TASKS: Final = (
    ("fetcher", "_fetcher", "_fetch_task"),
    ("group coordination", "_coordinator", "_coordination_task"),
    ("metadata update", "_client", "_sync_task"),
)
"""Tasks that end with their consumer and never before, and where it keeps them. The
heartbeat is not one of them: it stops for a rejoin, and its errors are seen."""


@dataclass(slots=True, kw_only=True)
class ConsumerPulse:
    """Feels whether the consumer still works."""

    thread: Callable[[], ConsumerThread | None]
    """The consumer's thread; None before there is one."""
    clock: Clock
    stuck_s: float
    """The loop may stand still for this long."""
    asked_s: float | None = None
    """When the loop was asked for a sign that it has not given yet."""

    def problems(self) -> list[str]:
        """Return why the consumer does not work; empty while it does."""
        thread = self.thread()
        if thread is None or thread._thread is None or not thread._thread.is_alive():  # noqa: SLF001 - pinned
            return ["the consumer thread ended"]
        late_s = self._late_s(thread.thread_loop)
        if late_s > self.stuck_s:
            return [f"the consumer thread has not turned for {late_s:.0f} s"]
        return [f"the consumer's {name} died" for name in _dead(thread._consumer)]  # noqa: SLF001

    def _late_s(self, loop: asyncio.AbstractEventLoop) -> float:
        now_s = self.clock.monotonic_s()
        # From question to answer, not since the last one: who asks may be late, too.
        if self.asked_s is not None:
            return now_s - self.asked_s
        self.asked_s = now_s
        loop.call_soon_threadsafe(self._turned)
        return 0.0

    def _turned(self) -> None:
        self.asked_s = None


def _dead(consumer: Any) -> Iterator[str]:
    for name, part, task in TASKS:
        running = getattr(getattr(consumer, part, None), task, None)
        if running is not None and running.done():
            yield name
