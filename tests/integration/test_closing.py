"""aiokafka's consumers, stopped while a failed fetch waits for its next try."""

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.fetch import FetchRequest
from confluent_kafka.admin import AdminClient, NewTopic

from agents.census import census
from agents.closing import stop_consumer

LONG_MS = 60_000


@pytest.fixture(scope="module")
def tp(bootstrap: str) -> TopicPartition:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topic = f"closing-{uuid.uuid4().hex[:8]}"
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    return TopicPartition(topic, 0)


async def waiting_after_a_failure(
    bootstrap: str, tp: TopicPartition
) -> AIOKafkaConsumer:
    """Return a consumer whose connection broke in the middle of a fetch."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        retry_backoff_ms=LONG_MS,
    )
    await consumer.start()
    send, failed = consumer._client.send, asyncio.Event()  # noqa: SLF001

    async def broken(node_id, request, **options):
        if isinstance(request, FetchRequest):
            failed.set()
            raise NodeNotReadyError
        return await send(node_id, request, **options)

    consumer._client.send = broken  # noqa: SLF001
    consumer.assign([tp])
    async with asyncio.timeout(30):
        await failed.wait()
    await asyncio.sleep(0)
    return consumer


async def test_aiokafka_tells_whoever_stops_it_that_he_was_cancelled(bootstrap, tp):
    consumer = await waiting_after_a_failure(bootstrap, tp)
    with pytest.raises(asyncio.CancelledError):
        await consumer.stop()
    assert asyncio.current_task().cancelling() == 0
    await consumer._client.close()  # noqa: SLF001 - which it never came to


async def test_we_are_not_told_and_nothing_is_left(bootstrap, tp):
    before = census([asyncio.get_running_loop()])
    await stop_consumer(await waiting_after_a_failure(bootstrap, tp))
    await asyncio.sleep(0)
    assert census([asyncio.get_running_loop()]) == before
