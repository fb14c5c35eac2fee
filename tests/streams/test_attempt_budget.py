"""The budget of an attempt: what counts against a stage's timeout, and what not."""

import asyncio
import math

import pytest

from streams.running.attempts import Budget


async def held(budget, seconds):
    """Wait inside a pause of *budget*, as a call does for its slot."""
    with budget.paused():
        await asyncio.sleep(seconds)


async def test_waiting_for_a_slot_does_not_use_up_the_timeout():
    budget = Budget(timeout_s=0.05, left_s=math.inf)
    async with budget.scope:
        await held(budget, 0.2)
    assert not budget.scope.expired()


async def test_what_was_left_before_the_wait_is_left_behind_it():
    budget = Budget(timeout_s=0.1, left_s=math.inf)
    loop = asyncio.get_running_loop()
    async with budget.scope:
        before_s = budget.scope.when() - loop.time()
        await held(budget, 0.15)
        after_s = budget.scope.when() - loop.time()
    assert after_s == pytest.approx(before_s, abs=0.02)


async def never_answered(budget, *, queued_s):
    """Wait for a slot, then for an answer that never comes."""
    async with budget.scope:
        await held(budget, queued_s)
        await asyncio.Event().wait()


async def test_the_time_of_the_answer_counts_after_the_wait():
    budget = Budget(timeout_s=0.05, left_s=math.inf)
    with pytest.raises(TimeoutError):
        await never_answered(budget, queued_s=0.1)
    assert budget.scope.expired()


async def test_the_deadline_passes_while_a_call_waits_for_its_slot():
    budget = Budget(timeout_s=30, left_s=0.05)
    with pytest.raises(TimeoutError):
        await never_answered(budget, queued_s=30)


async def test_no_wait_moves_the_end_behind_the_deadline():
    budget = Budget(timeout_s=0.1, left_s=0.15)
    with pytest.raises(TimeoutError):
        await never_answered(budget, queued_s=0.1)
    assert budget.scope.expired()


async def test_two_calls_may_wait_at_once():
    budget = Budget(timeout_s=0.05, left_s=math.inf)
    async with budget.scope:
        await asyncio.gather(held(budget, 0.1), held(budget, 0.15))
    assert not budget.scope.expired()
