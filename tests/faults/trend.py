"""Does a worker that lives long grow? A straight line through its samples tells."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import linear_regression, mean
from typing import Final

from tests.faults.history import Sample

WARM_UP: Final = 0.25
"""Part of a life that is left out: caches fill, code is imported."""

ENOUGH: Final = 24
"""Samples below which a line says nothing."""

MIB: Final = 1 << 20
HOUR_MS: Final = 3_600_000


def trends(samples: Iterable[Sample]) -> Iterator[str]:
    """Return a line about each process that lived long enough."""
    lives: defaultdict[tuple[str, int], list[Sample]] = defaultdict(list)
    for sample in samples:
        lives[sample.worker, sample.pid].append(sample)
    for (worker, pid), life in lives.items():
        steady = life[int(len(life) * WARM_UP) :]
        if len(steady) >= ENOUGH:
            yield f"{worker} (process {pid}): {_line(steady)}"


def slope_per_hour(samples: Sequence[Sample], name: str) -> float:
    """Return how much *name* grows in an hour."""
    moments = [sample.at_ms / HOUR_MS for sample in samples]
    values = [float(getattr(sample, name)) for sample in samples]
    return linear_regression(moments, values).slope


def _line(steady: Sequence[Sample]) -> str:
    minutes = (steady[-1].at_ms - steady[0].at_ms) / 60_000
    middle = mean(sample.rss_bytes for sample in steady) / MIB
    most = max(sample.rss_bytes for sample in steady) / MIB
    growth = slope_per_hour(steady, "rss_bytes") / MIB
    files = slope_per_hour(steady, "files")
    return (
        f"RSS {middle:.0f} MiB, most {most:.0f}, {growth:+.1f} MiB/h; "
        f"{steady[-1].files} files, {files:+.1f}/h; over {minutes:.0f} min"
    )
