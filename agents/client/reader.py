"""Reads committed records of chosen partitions, as a member of no group."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Any, Final, Literal

from aiokafka import TopicPartition

from agents.closing import started
from agents.record import Record
from agents.restore import private_consumer

POLL_MS: Final = 200
POLL_RECORDS: Final = 2_000

Start = Literal["earliest", "latest"]


class Reader:
    """A consumer with its partitions. Mutable: it moves on as it reads."""

    def __init__(self, consumer: Any, tps: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._tps = tps

    async def records(self) -> AsyncGenerator[Record, None]:
        """Give every record from here on, for ever; in order within a partition."""
        while True:
            for record in await self.poll(POLL_MS):
                yield record

    async def to_end(self) -> AsyncGenerator[Record, None]:
        """Give every record up to the end that the partitions have now."""
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(self._tps)
        left = set(self._tps)
        while left := {tp for tp in left if await self._behind(tp, ends[tp])}:
            for record in await self.poll(POLL_MS, *left):
                tp = TopicPartition(record.topic, record.partition)
                if record.offset < ends[tp]:
                    yield record

    async def poll(self, wait_ms: int, *tps: TopicPartition) -> list[Record]:
        """Return what has come by now, or within *wait_ms*; maybe nothing."""
        fetched = await self._consumer.getmany(
            *tps, timeout_ms=wait_ms, max_records=POLL_RECORDS
        )
        return [_record(raw) for batch in fetched.values() for raw in batch]

    async def _behind(self, tp: TopicPartition, end: int) -> bool:
        position: int = await self._consumer.position(tp)
        return position < end


@contextlib.asynccontextmanager
async def reading(
    bootstrap: str, tps: Iterable[TopicPartition], start: Start | int
) -> AsyncIterator[Reader]:
    """Read *tps* from *start* on, which may be an offset, for the length of a block.

    Raises:
        KafkaError: the broker cannot be reached.
    """
    wanted = list(tps)
    async with started(private_consumer(bootstrap)) as consumer:
        consumer.assign(wanted)
        match start:
            case "earliest":
                await consumer.seek_to_beginning(*wanted)
            case "latest":
                await consumer.seek_to_end(*wanted)
            case offset:
                for tp in wanted:
                    consumer.seek(tp, offset)
        yield Reader(consumer, wanted)


def _record(raw: Any) -> Record:
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        key=raw.key,
        value=raw.value,
        headers=tuple(raw.headers),
        timestamp_ms=raw.timestamp,
    )
