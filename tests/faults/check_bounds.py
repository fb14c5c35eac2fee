"""I11: what a worker holds is bounded by settings, whatever the load, and for ever."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

from tests.faults.history import Sample, Violation
from tests.faults.index import Index
from tests.faults.trend import ENOUGH, at_rest, lives, thirds, told

LONG_MS: Final = 10 * 60_000
"""How long a process has to live before its growth says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How much more a worker may hold late in its life than early in it."""

    rss_bytes: int = 24 << 20
    """An allocator gives back what it likes to."""
    files: int = 40
    sockets: int = 16
    """Those of three more partitions: others may have been away more often."""
    tasks: int = 48
    clients: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a worker may take."""

    rss_bytes: int = 600 << 20
    files: int = 1_000
    waiting_bytes: float = 100 << 20
    running: float = 256
    growth: Growth = field(default_factory=Growth)


def within(index: Index, bounds: Bounds) -> Iterator[Violation]:
    """Check all samples; a worker is reported once for each bound."""
    samples = index.history.samples
    yield from _peaks(samples, bounds)
    for (worker, pid), life in lives(samples).items():
        if life[-1].at_ms - life[0].at_ms >= LONG_MS:
            for leak in leaks(life, bounds.growth):
                whose = {"worker": worker, "process": pid}
                yield replace(leak, evidence={**whose, **leak.evidence})


def _peaks(samples: Sequence[Sample], bounds: Bounds) -> Iterator[Violation]:
    worst: dict[tuple[str, str], Sample] = {}
    for sample in samples:
        for name in ("rss_bytes", "files", "waiting_bytes", "running"):
            known = worst.get((sample.worker, name))
            if known is None or getattr(sample, name) > getattr(known, name):
                worst[sample.worker, name] = sample
    for (worker, name), sample in worst.items():
        if getattr(sample, name) > getattr(bounds, name):
            yield Violation(
                invariant=11,
                what=f"{name} is above its bound",
                evidence={
                    "worker": worker,
                    "found": getattr(sample, name),
                    "bound": getattr(bounds, name),
                    "at_ms": sample.at_ms,
                },
            )


def leaks(life: Sequence[Sample], growth: Growth) -> Iterator[Violation]:
    """Return what one process holds more and more of, once it is warm.

    After its warm-up a life has three parts. It has to be more at rest from each to the
    next: what went up once, and stays, is a cache or another's partition.
    """
    for name in (each.name for each in fields(Growth)):
        allowed = getattr(growth, name)
        known = told(life, name)
        if len(known) < ENOUGH:
            continue
        early, middle, late = (at_rest(part, name) for part in thirds(known))
        if late - early > allowed and min(middle - early, late - middle) > allowed / 4:
            yield Violation(
                invariant=11,
                what=f"{name} grow with a worker's age",
                evidence={
                    "early": early,
                    "middle": middle,
                    "late": late,
                    "allowed": allowed,
                },
            )
