"""Throughput: contenders take turns at a backlog, round by round."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.contenders import Contender
from benchmarks.lab import Lab
from benchmarks.measuring import Figures, reading, watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A contender, and how many requests it gets: slow ones get fewer."""

    contender: Contender
    requests: int


def race(
    lab: Lab, entries: Mapping[str, Entry], rounds: int
) -> dict[str, list[Figures]]:
    """Run all *entries* in turn, *rounds* times; return the figures of each.

    In turn, so that whatever else this machine does meets all of them.
    """
    found: dict[str, list[Figures]] = {name: [] for name in entries}
    for number in range(rounds):
        for name, entry in entries.items():
            figures = run_once(lab, entry)
            found[name].append(figures)
            print(f"  round {number + 1}  {name:<28} {figures}", flush=True)
    return found


def run_once(lab: Lab, entry: Entry) -> Figures:
    """Let one contender work its backlog off."""
    start = entry.contender.prepare(lab, entry.requests)
    lab.stamp_at_broker(start.results)
    name = start.requests.removesuffix(".requests")
    with reading(lab, start.results) as consumer, lab.running(name, start) as running:
        course = watch(lab, consumer, running, entry.requests)
    lab.remove_topics(name.split(".")[0])
    return course.steady()
