"""Gaps: records that were handed on by the consumer, and never came to their task.

It is a bug, of Faust's or of ours, if there is one; taken in silence it would skip
requests. What is missing is seen when the next records come, or after some seconds in
which none did; then the consumer is sought back, and all behind the gap comes again.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import structlog
from aiokafka import TopicPartition

from agents.metrics import Metrics

log = structlog.get_logger(__name__)


class Consumer(Protocol):
    """What is asked of agents/faust_edge.py's consumer."""

    def handed_on(self) -> Mapping[Any, int]: ...

    async def perform_seek(self) -> None: ...


LOOKS: Final = 5
"""In so many looks running nothing came to a task that something was handed on to. Of
a busy worker it may be on its way for a second or two."""


class Gaps:
    """Looks for gaps, and has what is missing read again."""

    def __init__(
        self,
        *,
        consumer: Callable[[], Consumer],
        taken_to: Callable[[str, int], int | None],
        metrics: Metrics,
    ) -> None:
        """*taken_to* returns the first offset that has not come to its live task."""
        self._consumer = consumer
        self._taken_to = taken_to
        self._metrics = metrics
        self._seeking: asyncio.Task[None] | None = None
        self._waiting: dict[TopicPartition, tuple[int, int]] = {}
        """What has not come, and in how many looks."""

    def before(self, topic: str, partition: int, begin: int) -> bool:
        """Say whether records in front of *begin* are missing; then all come again."""
        taken = self._taken_to(topic, partition)
        if taken is None or begin <= taken:
            return False
        log.error("source.gap", topic=topic, partition=partition, offset=taken)
        self._metrics.count("penstock_source_gaps_total")
        if self._seeking is None or self._seeking.done():
            self._seeking = asyncio.ensure_future(self._consumer().perform_seek())
            self._seeking.add_done_callback(_told)
        return True

    def look(self) -> None:
        """Find records that were handed on, and never came, with none behind them."""
        before, self._waiting = self._waiting, {}
        for tp, begin in self._consumer().handed_on().items():
            taken = self._taken_to(tp.topic, tp.partition)
            if taken is None or begin <= taken:
                continue
            known, looks = before.get(tp, (taken, 0))
            looks = looks + 1 if known == taken else 1
            if looks >= LOOKS:
                self.before(tp.topic, tp.partition, begin)
            else:
                self._waiting[tp] = (taken, looks)


def _told(seek: "asyncio.Task[None]") -> None:
    """Say that a seek failed: a rebalance does that, and seeks itself in the end."""
    if not seek.cancelled() and (error := seek.exception()) is not None:
        log.warning("source.seek_failed", error=repr(error))
