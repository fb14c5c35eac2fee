"""Mishaps: what ended a task is known, a cancellation by nobody included."""

import asyncio

from agents.mishap import StrayCancellationError, mishap
from tests.agents.strays import cancelled_by_nobody


async def ended(coroutine, *, cancel=False):
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    if cancel:
        task.cancel()
    await asyncio.wait([task], timeout=5)
    return task


async def failing() -> None:
    raise ZeroDivisionError


async def test_a_task_that_came_to_its_end_had_none():
    assert mishap(await ended(asyncio.sleep(0))) is None


async def test_a_task_that_was_cancelled_had_none():
    assert mishap(await ended(asyncio.sleep(9), cancel=True)) is None


async def test_an_error_is_one():
    assert isinstance(mishap(await ended(failing())), ZeroDivisionError)


async def test_a_cancellation_by_nobody_is_one():
    error = mishap(await ended(cancelled_by_nobody()))
    assert isinstance(error, StrayCancellationError)
    assert "cancelled_by_nobody" in str(error)
