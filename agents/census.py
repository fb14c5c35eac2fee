"""A census of what a worker keeps running: asyncio tasks, and clients of Kafka.

What is never closed shows here first: as a number that only grows. Nobody has to sign
up, for a client of aiokafka (pinned to 0.14.0) cannot live without a task of its own.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CLIENT: Final = "AIOKafkaClient._md_synchronizer"
"""Every client has one; those of producers and consumers are clients, too."""
PRODUCER: Final = "Sender._sender_routine"
CONSUMER: Final = "Fetcher._fetch_requests_routine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What was found."""

    tasks: int
    """Asyncio tasks, whatever they do."""
    producers: int
    """One for each live task of ours, and Faust's own, which nobody uses."""
    consumers: int
    """The group's and that of the schemas topic; one more for each restore."""
    others: int
    """Clients that ask about the cluster, and are gone a moment later."""


def census(loops: Iterable[asyncio.AbstractEventLoop]) -> Census:
    """Count what runs on *loops*, which may turn in other threads."""
    found = Counter(
        getattr(task.get_coro(), "__qualname__", "")
        for loop in loops
        for task in asyncio.all_tasks(loop)
    )
    producers, consumers = found[PRODUCER], found[CONSUMER]
    return Census(
        tasks=found.total(),
        producers=producers,
        consumers=consumers,
        others=max(0, found[CLIENT] - producers - consumers),
    )
