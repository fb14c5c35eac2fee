"""A timeout gives what came while the process slept a moment to arrive."""

import asyncio
import threading
import time

import pytest

from streams import patience
from streams.patience import PatientTimeout


@pytest.fixture(autouse=True)
def lateness(monkeypatch):
    monkeypatch.setattr(patience, "LATE_S", 0.05)


async def slept_through(scope_of):
    """Wait for an answer that comes, as the timeout does, while nothing turns."""
    loop = asyncio.get_running_loop()
    answer = loop.create_future()

    async def ask():
        async with scope_of(0.01):
            return await answer

    asked = asyncio.create_task(ask())
    await asyncio.sleep(0)
    other = threading.Thread(
        target=loop.call_soon_threadsafe, args=(answer.set_result, "paid")
    )
    other.start()
    other.join()
    time.sleep(0.1)  # noqa: ASYNC251 - that is the case
    return await asked


async def test_an_answer_that_came_meanwhile_is_taken():
    assert await slept_through(PatientTimeout) == "paid"


async def test_asyncios_own_timeout_would_lose_it():
    with pytest.raises(TimeoutError):
        await slept_through(asyncio.timeout)


async def given_up(scope, change):
    """Wait within *scope*, once *change* was done to it, until it gives up."""
    with pytest.raises(TimeoutError):
        await waiting(scope, change)
    assert scope.expired()


async def waiting(scope, change):
    async with scope:
        change()
        await asyncio.Event().wait()


async def test_who_has_no_answer_gives_up_all_the_same(monkeypatch):
    monkeypatch.setattr(patience, "MOMENT_S", 0.0)
    await given_up(PatientTimeout(0.01), lambda: time.sleep(0.1))


async def test_it_is_due_when_it_was_told_last():
    scope, loop = PatientTimeout(None), asyncio.get_running_loop()

    def change():
        assert scope.when() is None
        scope.reschedule(loop.time() + 60)
        scope.reschedule(loop.time())

    await given_up(scope, change)


async def test_what_ends_in_time_leaves_no_timer_behind():
    async with PatientTimeout(0.0):
        pass
    await asyncio.sleep(0)
