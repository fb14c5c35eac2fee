"""Slots are shared fairly: over tenants, by priority, and nobody waits for ever."""

from itertools import pairwise

import pytest

from agents.fair_queue import OLDEST_EVERY, FairQueue


@pytest.fixture
def queue():
    return FairQueue()


def taken(queue, number):
    return [queue.take() for _ in range(number)]


def test_an_empty_queue_has_nobody(queue):
    assert queue.take() is None


def test_of_one_tenant_and_priority_who_came_first_goes_first(queue):
    for i in range(10):
        queue.put(i, tenant="", priority=0)
    assert taken(queue, 11) == [*range(10), None]


def test_a_tenant_who_asks_for_much_gets_no_more_than_another(queue):
    for i in range(100):
        queue.put(("hog", i), tenant="hog", priority=0)
    for i in range(3):
        queue.put(("guest", i), tenant="guest", priority=0)
    names = [name for name, _ in taken(queue, 6)]
    assert all(a != b for a, b in pairwise(names))
    assert sorted(names) == ["guest"] * 3 + ["hog"] * 3


def test_a_tenants_priority_is_no_concern_of_another(queue):
    for i in range(10):
        queue.put(("loud", i), tenant="loud", priority=9)
        queue.put(("quiet", i), tenant="quiet", priority=0)
    assert [name for name, _ in taken(queue, 6)].count("quiet") == 3


def test_the_more_important_goes_first(queue):
    queue.put("later", tenant="", priority=-1)
    queue.put("usual", tenant="", priority=0)
    queue.put("first", tenant="", priority=5)
    assert taken(queue, 3) == ["first", "usual", "later"]


def test_who_waits_longest_is_not_passed_by_for_ever(queue):
    queue.put("patient", tenant="", priority=0)
    for i in range(100):
        queue.put(i, tenant="", priority=1)
    assert "patient" in taken(queue, OLDEST_EVERY)


def test_tenants_that_are_served_leave_nothing_behind(queue):
    for i in range(1_000):
        queue.put(i, tenant=f"t{i}", priority=i)
    assert sorted(taken(queue, 1_000)) == list(range(1_000))
    assert queue.take() is None
    queue.put("again", tenant="t1", priority=0)
    assert queue.take() == "again"
