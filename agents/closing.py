"""Closing: a client of Kafka ends, whatever state it is in, and its sockets with it.

aiokafka (pinned to 0.14.0) stops a client by cancelling its tasks and awaiting each.
After connections were reset that goes wrong in three ways:

- A fetch that waits after a failure ends as cancelled, and so it looks to whoever
  stops the consumer as if he had been cancelled himself. A task of ours ended that way,
  in silence, and its partition with it.
- What would come next in a stop is skipped: connections stay open.
- A producer in an error state waits for batches that never end. A timeout around that
  is one cancellation, and ``AIOKafkaClient.close`` takes one for its own.

So a stop is a task of its own, which goes on though nobody waits for it any more; and
so is each half of it, which may take ``STOP_S``, and whose end is told to nobody.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

STOP_S: Final = 2.0
"""Longest that each half of a stop may take."""

_stops: set[asyncio.Task[Any]] = set()
"""Those under way; asyncio itself does not hold tasks."""


@asynccontextmanager
async def started(consumer: Any) -> AsyncIterator[Any]:
    """Start *consumer*, for the length of a block.

    Raises:
        KafkaError: the broker cannot be reached.
    """
    try:
        # Inside: one that fails half way is connected, and stays so until stopped.
        await consumer.start()
        yield consumer
    finally:
        await stop_consumer(consumer)


async def stop_consumer(consumer: Any) -> None:
    """Stop *consumer*, within bounds; it must not commit anything by itself."""
    await asyncio.shield(_held(_stop_consumer(consumer)))


async def stop_producer(producer: Any) -> None:
    """Stop *producer*, within bounds; what it has not sent by then is lost."""
    await asyncio.shield(_held(_stop_producer(producer)))


async def _stop_consumer(consumer: Any) -> None:
    await _ended(consumer.stop())
    # Again, if it came so far: there is no telling, and closed is closed.
    await _ended(consumer._client.close())  # noqa: SLF001 - there is no public way


async def _stop_producer(producer: Any) -> None:
    if await _ended(producer.stop()):
        return
    sender = producer._sender.sender_task  # noqa: SLF001 - there is no public way
    if sender is not None:
        sender.cancel()
    await _ended(producer.client.close())
    if sender is not None:
        # Cancelled, it waits for what it has sent, which nobody answers any more.
        await asyncio.sleep(0)
        sender.cancel()


async def _ended(stopping: Coroutine[Any, Any, None]) -> bool:
    """Say whether *stopping* came to its end."""
    half = _held(stopping)
    await asyncio.wait([half], timeout=STOP_S)
    if not half.done():
        half.cancel()
        return False
    return not half.cancelled() and half.exception() is None


def _held(stopping: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(stopping)
    _stops.add(task)
    task.add_done_callback(_over)
    return task


def _over(task: asyncio.Task[None]) -> None:
    _stops.discard(task)
    # Asked, so that asyncio does not complain that nobody did.
    if not task.cancelled():
        task.exception()
