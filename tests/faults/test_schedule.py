"""A seed gives the same faults at the same times, and each before any comes again."""

from collections import Counter

from tests.faults.kinds import FAULTS
from tests.faults.schedule import plan

ARGUMENTS = {
    "lasts_s": 600,
    "every_s": 15,
    "faults": tuple(FAULTS),
    "targets": ("w0", "w1"),
}


def test_a_seed_can_be_had_again():
    assert plan(seed=7, **ARGUMENTS) == plan(seed=7, **ARGUMENTS)
    assert plan(seed=7, **ARGUMENTS) != plan(seed=8, **ARGUMENTS)


def test_every_fault_comes_before_any_comes_again():
    times = Counter(one.fault for one in plan(seed=1, **ARGUMENTS).faults)
    assert times.keys() == FAULTS.keys()
    assert max(times.values()) - min(times.values()) <= 1


def test_faults_come_in_order_within_the_time_there_is():
    moments = [one.at_s for one in plan(seed=1, **ARGUMENTS).faults]
    assert moments == sorted(moments)
    assert len(moments) == 40
    assert moments[-1] <= 600
