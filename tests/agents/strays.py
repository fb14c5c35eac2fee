"""A cancellation that is somebody else's."""

import asyncio


async def cancelled_by_nobody(*_: object) -> None:
    """Await what its owner has cancelled, as a client of Kafka does that is stopped."""
    theirs = asyncio.create_task(asyncio.sleep(9))
    await asyncio.sleep(0)
    theirs.cancel()
    await theirs
