"""Cancellation: was it us, or does a cancellation of somebody else's come to us?

Code that awaits a cancelled future is told ``CancelledError`` as if it had been
cancelled itself.
"""

import asyncio


def we_are_cancelled() -> bool:
    """Say whether somebody cancelled the task that asks.

    A function, because its frame ends: a task holds the ``CancelledError`` that ended
    it, and that one the frames it came through. One that holds the task makes a ring.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
