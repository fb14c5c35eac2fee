"""Several things at the same time: all of them end, or the first failure ends all.

The failure that is raised is the first in flow order of those that happened. By then
all others have ended: nothing goes on behind the back of who waited. A cancellation
from outside cancels all, waits for them, and stays a cancellation.

``asyncio.TaskGroup`` does nearly that. But it raises groups, in order of time, and to
be woken it cancels its own task: whether somebody else did cannot be told any more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any

Job = Callable[[int], Awaitable[None]]
"""Does what has this number; smaller numbers come first in the flow."""


async def in_their_order(job: Job, after: Sequence[Collection[int]]) -> None:
    """Do each job as soon as those that it comes *after* have ended."""
    crew, order = _Crew(job), _Order(after)
    for index in order.first:
        crew.start(_line(crew, order, index))
    await crew.finish()


async def _line(crew: "_Crew", order: "_Order", index: int) -> None:
    ready = [index]
    while ready:
        # One goes on in this task; the others need tasks of their own.
        index, *others = ready
        for other in others:
            crew.start(_line(crew, order, other))
        ready = order.freed_by(index) if await crew.did(index) else []


async def each_of(job: Job, count: int, *, width: int) -> None:
    """Do jobs 0 to *count*, at most *width* at a time."""
    indexes = iter(range(count))
    if min(count, width) <= 1:
        for index in indexes:
            await job(index)
        return
    crew = _Crew(job)

    async def worker() -> None:
        for index in indexes:
            if not await crew.did(index):
                return

    for _ in range(min(count, width)):
        crew.start(worker())
    await crew.finish()


class _Order:
    """Who waits for whom, and for how many more."""

    def __init__(self, after: Sequence[Collection[int]]) -> None:
        self.first = [index for index, before in enumerate(after) if not before]
        self._missing = [len(before) for before in after]
        self._later: list[list[int]] = [[] for _ in after]
        for index, before in enumerate(after):
            for earlier in before:
                self._later[earlier].append(index)

    def freed_by(self, index: int) -> list[int]:
        """Return those that may begin now that *index* has ended."""
        for later in self._later[index]:
            self._missing[later] -= 1
        return [later for later in self._later[index] if not self._missing[later]]


class _Crew:
    """Asyncio tasks that end together."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._failures: dict[int, BaseException] = {}
        self._stopped = False

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def did(self, index: int) -> bool:
        """Do a job; return False if nothing more is to be begun."""
        if self._stopped:
            return False
        try:
            await self._job(index)
        except Exception as error:  # noqa: BLE001 - raised again by finish
            self._failures[index] = error
            self._stop()
        return not self._stopped

    async def finish(self) -> None:
        """Wait until all have ended.

        Raises:
            Exception: the first in flow order of those that a job raised.
            CancelledError: from outside.
        """
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            try:
                await self._idle.wait()
            except asyncio.CancelledError as error:
                cancelled = error
                self._stop()
        # Their tracebacks hold this frame and those of the jobs: neither we nor what is
        # local here may hold them, or the request stays in a ring.
        failures, self._failures = self._failures, {}
        try:
            if cancelled is not None:
                raise cancelled
            if failures:
                raise failures[min(failures)]
        finally:
            del cancelled, failures

    def _stop(self) -> None:
        if self._stopped:
            # Once only: who is cancelled may have something to save.
            return
        self._stopped = True
        this = asyncio.current_task()
        for task in self._tasks:
            if task is not this:
                task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not (task.cancelled() and self._stopped):
            # None that a job may raise: a signal, or a cancellation that is not ours.
            # It is for who waits, else what was not done would seem to be.
            self._failures.setdefault(-1, error)
            self._stop()
        if not self._tasks:
            self._idle.set()
