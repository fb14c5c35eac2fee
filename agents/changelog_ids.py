"""Gives every changelog partition an identity, so that stores know whose they are.

The first record of a changelog partition is a UUID under a reserved key. A store that
was filled from a changelog of another id is rebuilt: a topic that was deleted and made
again has the same name and other contents.
"""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from agents.closing import started
from agents.failures import ChangelogBusyError, TopicError
from agents.tables import CHANGELOG_ID
from agents.topics import TopicSpec
from streams.config import Settings

FORMAT: Final = b"\x01"
READ_WITHIN_S: Final = 20.0
POLL_MS: Final = 200
FETCH_BYTES: Final = 4_096


async def mark_changelogs(settings: Settings, specs: Sequence[TopicSpec]) -> None:
    """Write an identity into every partition of *specs* that is empty. Idempotent.

    Raises:
        TopicError: a partition has records and no identity.
        ChangelogBusyError: somebody else does the same at this moment.
    """
    # One transactional id per app: of two at once the later one fences the earlier,
    # so that no partition gets two identities.
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap,
        transactional_id=f"{settings.group}-changelog-ids",
        acks="all",
    )
    await producer.start()
    try:
        empty, foreign = await _look(settings, specs)
        if foreign:
            raise TopicError(_foreign(foreign))
        if empty:
            await _write(producer, empty)
    except KafkaError as error:
        raise ChangelogBusyError(str(error)) from error
    finally:
        await producer.stop()


async def unmarked(settings: Settings, specs: Sequence[TopicSpec]) -> list[str]:
    """Return which partitions of *specs* have no identity, as sentences."""
    empty, foreign = await _look(settings, specs)
    cure = "has no identity: run `penstock topics apply`"
    return [f"{tp.topic}[{tp.partition}] {cure}" for tp in empty] + _foreign(foreign)


async def _write(producer: AIOKafkaProducer, empty: Sequence[TopicPartition]) -> None:
    async with producer.transaction():
        sends = [
            await producer.send(
                tp.topic,
                key=CHANGELOG_ID,
                value=FORMAT + uuid.uuid4().bytes,
                partition=tp.partition,
            )
            for tp in empty
        ]
        # Each of them: aiokafka commits although a send failed.
        await asyncio.gather(*sends)


async def _look(
    settings: Settings, specs: Sequence[TopicSpec]
) -> tuple[list[TopicPartition], list[TopicPartition]]:
    """Return the empty partitions, and those that begin with something else."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=POLL_MS,
        # Of each partition the first record will do, however long the rest is.
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    tps = [TopicPartition(s.name, p) for s in specs for p in range(s.partitions)]
    async with started(consumer), asyncio.timeout(READ_WITHIN_S):
        firsts = await _first_keys(consumer, tps)
    empty = [tp for tp in tps if tp in firsts and firsts[tp] is None]
    foreign = [tp for tp in tps if firsts.get(tp) not in {None, CHANGELOG_ID}]
    return empty, foreign


async def _first_keys(
    consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition]
) -> dict[TopicPartition, bytes | None]:
    """Return the key of each partition's first record; None where there is no record.

    Partitions whose beginning expired, as a ledger's does, are left out: their
    identity went with it, and their store is checked by its offsets.
    """
    consumer.assign(list(tps))
    begins = await consumer.beginning_offsets(tps)
    ends = await consumer.end_offsets(tps)
    whole = [tp for tp in tps if begins[tp] == 0]
    firsts: dict[TopicPartition, bytes | None] = dict.fromkeys(whole)
    left = {tp for tp in whole if ends[tp] > 0}
    for tp in left:
        consumer.seek(tp, 0)
    while left:
        fetched: dict[TopicPartition, list[Any]] = await consumer.getmany(
            *left, timeout_ms=POLL_MS, max_records=len(left)
        )
        for tp, records in fetched.items():
            firsts[tp] = records[0].key or b""
            left.discard(tp)
        # Behind aborted transactions there may be nothing to read.
        left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
    return firsts


def _foreign(partitions: Sequence[TopicPartition]) -> list[str]:
    return [
        f"{tp.topic}[{tp.partition}] has records but no identity, so it is no "
        "changelog of ours: take another PENSTOCK_APP, or delete the topic"
        for tp in partitions
    ]
