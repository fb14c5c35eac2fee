"""Backpressure: which source partitions are paused, decided in one place.

A task that has enough waiting pauses its own partitions; a pipeline whose LM is down
pauses its topic everywhere. The agent never blocks: one hot session, or one LM that
is away, must not stop the others. What is paused stays at the broker, visible as lag.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from faust.types import TP


class Flow(Protocol):
    """What can pause and resume: Faust's consumer."""

    def pause_partitions(self, tps: Iterable[TP]) -> None: ...

    def resume_partitions(self, tps: Iterable[TP]) -> None: ...


@dataclass(slots=True)
class Backpressure:
    """Keeps the consumer's paused partitions as tasks and pipelines want them."""

    available: Mapping[str, Callable[[], bool]]
    """By request topic: whether its pipeline can make progress."""
    full: Callable[[], set[int]]
    """Partitions whose tasks have enough waiting."""
    partitions: Callable[[], Iterable[int]]
    """Partitions that have a task."""
    paused: set[TP] = field(default_factory=set)

    def wanted(self) -> set[TP]:
        """Return what should be paused now."""
        full = self.full()
        down = {topic for topic, up in self.available.items() if not up()}
        return {
            TP(topic, partition)
            for topic in self.available
            for partition in self.partitions()
            if topic in down or partition in full
        }

    def apply(self, flow: Flow) -> None:
        """Pause and resume what changed since the last time."""
        wanted = self.wanted()
        if wanted == self.paused:
            return
        flow.pause_partitions(wanted - self.paused)
        flow.resume_partitions(self.paused - wanted)
        self.paused = wanted

    def forget(self) -> None:
        """Take note that a rebalance has resumed everything."""
        self.paused = set()
