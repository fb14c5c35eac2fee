"""Mishaps: why a task of ours ended, where nobody meant it to.

A task that awaits a cancelled future ends as cancelled, too, although nobody cancelled
it. asyncio takes that for an ordinary end, and says nothing.
"""

import asyncio
from typing import Any


class StrayCancellationError(Exception):
    """A cancellation that was somebody else's ended the task."""


def mishap(task: asyncio.Task[Any]) -> BaseException | None:
    """Return what *task*, which is done, died of.

    None if it came to its end, or was cancelled.
    """
    if not task.cancelled():
        return task.exception()
    if task.cancelling():
        return None
    return StrayCancellationError(f"in {task.get_coro()}")
