"""Measuring: how fast results come, what each costs in CPU, and how late it is.

A contender starts with its requests waiting. What counts is its steady course: the
results between the first tenth and the last tenth, by the moment at which the broker
appended them, as a client sees them that reads committed records only.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from confluent_kafka import Consumer, Message, TopicPartition

from benchmarks.lab import Lab, LabError, Running
from streams.clock import Clock, SystemClock

SETTLING: Final = 0.1
"""The part of all results at each end that is not looked at."""
STALLED_S: Final = 60.0
"""Without a result for so long, a contender is given up."""
AFTER_S: Final = 0.5
"""How long to look for results that nobody asked for."""
FETCH: Final = 5_000
POLL_S: Final = 0.05
"""Longest time between two looks at what contender and broker use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one round of one contender came to."""

    values: Mapping[str, float]
    """By name, with the unit in it: ``per_s``, ``cpu_ms``, ``p50_ms`` ..."""

    def __str__(self) -> str:
        return "  ".join(f"{name} {value:.3f}" for name, value in self.values.items())

    @classmethod
    def median_of(cls, rounds: Sequence["Figures"]) -> "Figures":
        """Return the median of each value."""
        names = rounds[0].values
        return cls(values={n: median(r.values[n] for r in rounds) for n in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """CPU seconds used until a moment."""

    at_ms: int
    contender_s: float
    broker_s: float


@dataclass(slots=True)
class Course:
    """How a contender went through its requests."""

    stamps_ms: list[int] = field(default_factory=list)
    """When the broker appended each result."""
    usage: list[Usage] = field(default_factory=list)

    def steady(self) -> Figures:
        """Return throughput and CPU for each request on the steady course."""
        stamps = sorted(self.stamps_ms)
        first, last = round(len(stamps) * SETTLING), round(len(stamps) * (1 - SETTLING))
        begin_ms, end_ms = stamps[first], stamps[last - 1]
        # Stamps are of whole batches: count what lies between, borders included once.
        results = bisect_right(stamps, end_ms) - bisect_right(stamps, begin_ms)
        before, after = self._used_at(begin_ms), self._used_at(end_ms)
        each = 1_000 / max(results, 1)
        return Figures(
            values={
                "per_s": results / max(end_ms - begin_ms, 1) * 1_000,
                "cpu_ms": (after.contender_s - before.contender_s) * each,
                "broker_ms": (after.broker_s - before.broker_s) * each,
            }
        )

    def _used_at(self, moment_ms: int) -> Usage:
        """Return the first sample from *moment_ms* on."""
        at = bisect_left(self.usage, moment_ms, key=lambda usage: usage.at_ms)
        return self.usage[min(at, len(self.usage) - 1)]


@contextmanager
def reading(lab: Lab, topic: str) -> Iterator[Consumer]:
    """Read *topic* from its beginning, committed records only."""
    consumer = Consumer(
        {
            "bootstrap.servers": lab.bootstrap,
            "group.id": f"reader-of-{topic}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        yield consumer
    finally:
        consumer.close()


def watch(lab: Lab, consumer: Consumer, running: Running, expected: int) -> Course:
    """Follow *running* until *expected* results are there.

    Raises:
        LabError: it ended or stalled, or gave more results than requests.
    """
    clock, course = SystemClock(), Course()
    progress_s = clock.monotonic_s()
    while len(course.stamps_ms) < expected:
        running.require_alive()
        got = _take(lab, consumer, course, running, clock)
        if got:
            progress_s = clock.monotonic_s()
        elif clock.monotonic_s() - progress_s > STALLED_S:
            reason = f"{len(course.stamps_ms)} of {expected} results, then none"
            raise LabError(reason)
    until_s = clock.monotonic_s() + AFTER_S
    while clock.monotonic_s() < until_s:
        _take(lab, consumer, course, running, clock)
    if len(course.stamps_ms) > expected:
        reason = f"{len(course.stamps_ms)} results for {expected} requests"
        raise LabError(reason)
    return course


def _take(
    lab: Lab, consumer: Consumer, course: Course, running: Running, clock: Clock
) -> int:
    messages: list[Message] = consumer.consume(FETCH, POLL_S)
    course.usage.append(
        Usage(
            at_ms=clock.now_ms(),
            contender_s=running.cpu_s(),
            broker_s=lab.broker_cpu_s(),
        )
    )
    stamps = [message.timestamp()[1] for message in messages if not message.error()]
    course.stamps_ms += stamps
    return len(stamps)


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return the value below which *part* of the *ordered* values lie."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
