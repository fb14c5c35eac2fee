"""Jobs at the same time: in their order, within their width, and none left behind."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.running.together import each_of, in_their_order


@st.composite
def orders(draw):
    """Return, for each of some jobs, the earlier ones that it waits for."""
    count = draw(st.integers(1, 9))
    return [
        draw(st.frozensets(st.integers(0, i - 1))) if i else () for i in range(count)
    ]


async def some_turns(rng):
    for _ in range(rng.randrange(4)):
        await asyncio.sleep(0)


quick = settings(max_examples=60)


@quick
@given(after=orders(), rng=st.randoms())
def test_each_job_runs_once_and_after_all_that_it_waits_for(after, rng):
    ended = []

    async def job(index):
        assert set(after[index]) <= set(ended)
        await some_turns(rng)
        ended.append(index)

    asyncio.run(in_their_order(job, after))
    assert sorted(ended) == list(range(len(after)))


async def test_a_job_begins_as_soon_as_what_it_waits_for_has_ended():
    ended, last = [], asyncio.Event()

    async def job(index):
        if index == 1:
            await last.wait()
        ended.append(index)
        if index == 2:
            last.set()

    await asyncio.wait_for(in_their_order(job, [(), (), (0,)]), 5)
    assert ended == [0, 2, 1]


@quick
@given(count=st.integers(0, 30), width=st.integers(1, 8), rng=st.randoms())
def test_never_more_than_the_width_run_at_once_and_no_more_tasks_than_that(
    count, width, rng
):
    running, done = set(), []

    async def job(index):
        running.add(index)
        assert len(running) <= width
        assert len(asyncio.all_tasks()) <= width + 1
        await some_turns(rng)
        running.discard(index)
        done.append(index)

    asyncio.run(each_of(job, count, width=width))
    assert sorted(done) == list(range(count))


async def alone():
    """Say whether no task is left but the test's."""
    return asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_first_failure_cancels_the_others_and_waits_for_them():
    ended = []

    async def job(index):
        if index == 1:
            await asyncio.sleep(0)
            raise ValueError(index)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(index)

    with pytest.raises(ValueError, match="1"):
        await in_their_order(job, [(), (), (), (1,)])
    assert sorted(ended) == [0, 2]
    assert await alone()


async def test_of_several_failures_the_first_in_the_flow_is_raised():
    async def job(index):
        try:
            await asyncio.Event().wait() if index < 2 else None
        finally:
            raise ValueError(index)

    with pytest.raises(ValueError, match="0"):
        await each_of(job, 3, width=3)
    assert await alone()


async def test_a_signal_in_a_job_reaches_who_waits():
    class SignalError(BaseException):
        pass

    async def job(index):
        if index:
            raise SignalError
        await asyncio.Event().wait()

    with pytest.raises(SignalError):
        await each_of(job, 3, width=3)
    assert await alone()


async def test_nothing_begins_once_something_failed():
    begun = []

    async def job(index):
        begun.append(index)
        raise ValueError(index)

    with pytest.raises(ValueError, match="0"):
        await each_of(job, 100, width=3)
    assert begun == [0], "the others were cancelled before their first step"


async def test_a_cancellation_from_outside_stays_one_and_leaves_nothing_behind():
    ended = []

    async def job(index):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(index)
            raise ValueError(index)

    task = asyncio.create_task(each_of(job, 9, width=2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1]
    assert await alone()


async def test_a_job_that_is_cancelled_by_nobody_ends_all_as_cancelled():
    async def job(index):
        if index == 0:
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await in_their_order(job, [(), (), (0,)])
    assert asyncio.all_tasks() == {asyncio.current_task()}
