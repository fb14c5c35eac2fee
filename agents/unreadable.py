"""What follows when a request topic cannot be read: one waits, or the worker ends.

Not allowed to read: its partitions pause, as for an LM that is away, and are tried
again every few seconds; the other pipelines go on. Out of range: records that nobody
answered are gone, or the topic is another one. Nobody skips them in silence: the
worker ends with the same error as one that finds them gone at its start, and the next
start decides (PENSTOCK_ACCEPT_LOSS).
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from agents.sources import SourceLostError, read_ends
from streams.clock import Clock

log = structlog.get_logger(__name__)

AGAIN_S: Final = 5.0
"""Between two tries of a topic that may not be read; as long as the longest wait of a
task that holds."""

SOON_S: Final = 0.05
"""Before any other fetch that failed is tried again, so that none loops hot."""


@dataclass(slots=True, kw_only=True)
class Unreadable:
    """Remembers which request topics cannot be read, and until when."""

    bootstrap: str
    group: str
    clock: Clock
    fatal: Callable[[BaseException], None]
    _until_s: dict[str, float] = field(default_factory=dict)

    def readable(self, topic: str) -> bool:
        """Say whether *topic* may be tried now."""
        return self.clock.monotonic_s() >= self._until_s.get(topic, -math.inf)

    async def failed(self, error: KafkaError) -> None:
        """Decide what follows from a fetch that failed."""
        if isinstance(error, TopicAuthorizationFailedError):
            self._refused(str(error.args[0]))
        elif isinstance(error, OffsetOutOfRangeError):
            await self._out_of_range(error.args[0])
        await asyncio.sleep(SOON_S)

    def _refused(self, topic: str) -> None:
        log.error(
            "source.unreadable",
            topic=topic,
            reason="not authorized to read it; its partitions wait",
        )
        self._until_s[topic] = self.clock.monotonic_s() + AGAIN_S

    async def _out_of_range(self, at: dict[TopicPartition, int]) -> None:
        try:
            ends = await read_ends(self.bootstrap, self.group, at)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("source.ends_unknown", error=repr(error))
            return
        for tp, following in at.items():
            begin, end = ends.begins[tp], ends.ends[tp]
            # A new leader that is behind says the same, and catches up.
            if not begin <= following <= end:
                self._until_s[tp.topic] = math.inf
                self.fatal(SourceLostError(tp, following, begin, end))
