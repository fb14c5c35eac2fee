"""The retry policy: capped, jittered, within the deadline, and polite to busy LMs."""

import math

import pytest

from streams.retry import RetryPolicy

POLICY = RetryPolicy(attempts=5, base_s=1.0, ceiling_s=6.0, asked_ceiling_s=60.0)


def test_waits_double_up_to_the_ceiling():
    waits = [POLICY.delay_after(n, left_s=math.inf) for n in (1, 2, 3, 4)]
    assert waits == [1.0, 2.0, 4.0, 6.0]


def test_the_last_attempt_is_the_last():
    assert POLICY.delay_after(5, left_s=math.inf) is None
    assert RetryPolicy().delay_after(1, left_s=math.inf) is None


def test_no_retry_outlives_the_deadline():
    assert POLICY.delay_after(3, left_s=4.1) == 4.0
    assert POLICY.delay_after(3, left_s=4.0) is None


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 2.0), (0.5, 3.0), (1.0, 4.0)])
def test_jitter_takes_up_to_half_of_the_wait(jitter, wait_s):
    assert POLICY.delay_after(3, left_s=math.inf, jitter=jitter) == wait_s


@pytest.mark.parametrize(
    ("asked_s", "wait_s"), [(0.5, 1.0), (7.0, 7.0), (86_400.0, 60.0), (None, 1.0)]
)
def test_what_a_busy_lm_asks_for_is_waited_up_to_a_cap(asked_s, wait_s):
    assert POLICY.delay_after(1, left_s=math.inf, asked_s=asked_s) == wait_s


def test_a_busy_lm_that_asks_for_more_than_is_left_is_given_up():
    assert POLICY.delay_after(1, left_s=5.0, asked_s=7.0) is None


def test_very_many_attempts_do_not_overflow():
    policy = RetryPolicy(attempts=10_000)
    assert policy.delay_after(9_000, left_s=math.inf) == policy.ceiling_s
