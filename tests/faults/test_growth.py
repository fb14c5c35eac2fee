"""I11 over time: a leak is found; noise, a step and a short life are none."""

import random
from collections.abc import Callable

import pytest

from tests.faults.check_bounds import LONG_MS, Bounds, within
from tests.faults.history import History, Sample, Violation
from tests.faults.index import Index
from tests.faults.samples import sums

MIB = 1 << 20
EVERY_MS = 5_000
HELD = {
    "rss_bytes": 180 * MIB,
    "files": 120,
    "sockets": 40,
    "tasks": 60,
    "clients": 6,
}
NOISE = {"rss_bytes": 30 * MIB, "files": 60, "sockets": 30, "tasks": 90, "clients": 8}
"""What faults and a neighbour's partitions add for a while."""

Extra = Callable[[float], float]
"""By what part of its life is over."""


def nothing(_: float) -> float:
    return 0


def life(name: str = "", extra: Extra = nothing, minutes: float = 15) -> list[Sample]:
    """Return a worker's samples: noisy, and with *extra* of *name*."""
    dice = random.Random(7)  # noqa: S311 - a dice, not a key
    count = int(minutes * 60_000 / EVERY_MS) + 1
    samples = []
    for number in range(count):
        fault = number % 12 < 4
        held = {
            each: round(
                much
                + dice.random() * NOISE[each] * (1 if fault else 0.1)
                + (extra(number / count) if each == name else 0)
            )
            for each, much in HELD.items()
        }
        at_ms = number * EVERY_MS
        samples.append(
            Sample(
                at_ms=at_ms, worker="w0", pid=1, waiting_bytes=0.0, running=0.0, **held
            )
        )
    return samples


def found(samples: list[Sample]) -> list[Violation]:
    return list(within(Index.of(History(samples=samples)), Bounds()))


@pytest.mark.parametrize(
    ("name", "much"),
    [
        ("rss_bytes", 60 * MIB),
        ("files", 100),
        ("sockets", 40),
        ("tasks", 120),
        ("clients", 15),
    ],
)
def test_what_is_never_given_back_is_found(name, much):
    [leak] = found(life(name, lambda over: much * over))
    assert leak.invariant == 11
    assert name in leak.what
    assert leak.evidence["worker"] == "w0"
    assert leak.evidence["early"] < leak.evidence["middle"] < leak.evidence["late"]


def test_a_noisy_life_in_which_nothing_stays_is_no_leak():
    assert found(life()) == []


@pytest.mark.parametrize("name", list(HELD))
def test_what_went_up_once_is_no_leak(name):
    assert found(life(name, lambda over: 2 * NOISE[name] * (over > 0.6))) == []


def test_a_warm_up_is_no_leak():
    assert found(life("rss_bytes", lambda o: 80 * MIB * min(o / 0.25, 1))) == []


def test_a_short_life_says_nothing():
    assert LONG_MS > 9 * 60_000
    assert found(life("clients", lambda over: 40 * over, minutes=9)) == []


def test_a_worker_that_is_stopped_tells_nothing_and_is_not_judged_by_that():
    leaking = life("clients", lambda over: 15 * over)
    for number, sample in enumerate(leaking):
        if number % 3 == 0:
            leaking[number] = Sample(
                at_ms=sample.at_ms,
                worker="w0",
                pid=1,
                rss_bytes=sample.rss_bytes,
                files=sample.files,
                waiting_bytes=0,
                running=0,
            )
    assert ["clients grow" in leak.what for leak in found(leaking)] == [True]


def test_metrics_are_summed_over_their_labels():
    text = '# HELP a a\na{kind="x"} 2.0\na{kind="y"} 3.0\nb 1.0\n'
    assert sums(text) == {"a": 5, "b": 1}
