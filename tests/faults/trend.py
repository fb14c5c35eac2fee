"""Does a worker that lives long grow? Its samples tell, once it is warm."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import linear_regression, mean, median, quantiles
from typing import Final

from tests.faults.history import Sample

WARM_UP: Final = 0.25
"""Part of a life that is left out: caches fill, code is imported."""

ENOUGH: Final = 24
"""Samples below which a line says nothing."""

MIB: Final = 1 << 20
HOUR_MS: Final = 3_600_000

COUNTED: Final = ("files", "sockets", "tasks", "clients")
"""What is counted in a worker, and never more for its age."""


def lives(
    samples: Iterable[Sample],
) -> Mapping[tuple[str, int], Sequence[Sample]]:
    """Return the samples of each process, by its place and its pid."""
    found: defaultdict[tuple[str, int], list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.worker, sample.pid].append(sample)
    return found


def trends(samples: Iterable[Sample]) -> Iterator[str]:
    """Return a line about each process that lived long enough."""
    for (worker, pid), life in lives(samples).items():
        parts = list(thirds(life))
        if sum(map(len, parts)) >= ENOUGH:
            yield f"{worker} (process {pid}): {_line(parts)}"


def thirds(life: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Yield a life in three parts, its warm-up left out."""
    begin = int(len(life) * WARM_UP)
    third = (len(life) - begin) / 3
    for number in range(3):
        yield life[begin + int(number * third) : begin + int((number + 1) * third)]


def slope_per_hour(samples: Sequence[Sample], name: str) -> float:
    """Return how much *name* grows in an hour, on a straight line through all."""
    known = told(samples, name)
    if len(known) < ENOUGH:
        return 0.0
    moments = [sample.at_ms / HOUR_MS for sample in known]
    return linear_regression(moments, values(known, name)).slope


def told(samples: Sequence[Sample], name: str) -> Sequence[Sample]:
    """Return the samples that know *name*: a worker that is stopped tells nothing."""
    return [sample for sample in samples if getattr(sample, name)]


def values(samples: Sequence[Sample], name: str) -> Sequence[float]:
    """Return *name* of each sample."""
    return [float(getattr(sample, name)) for sample in samples]


def at_rest(samples: Sequence[Sample], name: str) -> float:
    """Return how much of *name* there is in quiet moments, a quarter of all.

    Faults, restores and a neighbour's partitions come on top, and go again; what leaks
    stays.
    """
    return quantiles(values(samples, name), n=4, method="inclusive")[0]


def _line(parts: Sequence[Sequence[Sample]]) -> str:
    steady = [sample for part in parts for sample in part]
    rest = ", ".join(f"{at_rest(part, 'rss_bytes') / MIB:.0f}" for part in parts)
    minutes = (steady[-1].at_ms - steady[0].at_ms) / 60_000
    middle = mean(sample.rss_bytes for sample in steady) / MIB
    most = max(sample.rss_bytes for sample in steady) / MIB
    growth = slope_per_hour(steady, "rss_bytes") / MIB
    counted = ", ".join(_count(steady, name) for name in COUNTED)
    return (
        f"RSS {middle:.0f} MiB, most {most:.0f}, {growth:+.1f} MiB/h, "
        f"at rest {rest} in its thirds; "
        f"{counted}; over {minutes:.0f} min"
    )


def _count(steady: Sequence[Sample], name: str) -> str:
    middle = median(values(told(steady, name), name) or [0])
    return f"{middle:.0f} {name}, {slope_per_hour(steady, name):+.1f}/h"
