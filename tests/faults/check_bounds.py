"""I11: what a worker holds is bounded by settings, whatever the load."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.history import Sample, Violation
from tests.faults.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a worker may take."""

    rss_bytes: int = 600 << 20
    files: int = 1_000
    waiting_bytes: float = 100 << 20
    running: float = 256


def within(index: Index, bounds: Bounds) -> Iterator[Violation]:
    """Check all samples; a worker is reported once for each bound."""
    worst: dict[tuple[str, str], Sample] = {}
    for sample in index.history.samples:
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
