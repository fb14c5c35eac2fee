"""Reads what is committed, to the end that everybody's records have."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition


def reader_of(bootstrap: str, isolation: str) -> AIOKafkaConsumer:
    """Return a consumer that begins with the first record."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level=isolation,
        auto_offset_reset="earliest",
    )


async def read_committed(bootstrap: str, tp: TopicPartition) -> list[tuple[int, bytes]]:
    """Return what is committed in *tp* once nothing is open: offsets and values.

    A marker is written after EndTxn was answered: the end of what is committed may
    come a moment later.
    """
    async with reader_of(bootstrap, "read_uncommitted") as reader:
        [end] = (await reader.end_offsets([tp])).values()
    found: list[tuple[int, bytes]] = []
    async with asyncio.timeout(5), reader_of(bootstrap, "read_committed") as reader:
        reader.assign([tp])
        while await reader.position(tp) < end:
            for records in (await reader.getmany(timeout_ms=100)).values():
                found += [(record.offset, record.value) for record in records]
    return found
