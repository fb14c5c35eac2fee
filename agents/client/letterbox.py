"""The letterbox: the dead letters of one pipeline, read and offered again."""

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

from agents.client.letters import Letter
from agents.client.pipeline_topics import PipelineTopics, find_topics
from agents.client.reader import reading
from agents.failures import LetterNotFoundError
from schemas.records import Source
from streams.config import Settings

Offer = Callable[[Letter], Awaitable[Source]]
"""Sends a letter to the request topic again; returns where it is now."""


class Letterbox:
    """The DLQ topic of one pipeline."""

    def __init__(self, settings: Settings, topics: PipelineTopics) -> None:
        self._bootstrap = settings.bootstrap
        self._limit_bytes = settings.max_message_bytes
        self._topics = topics

    @classmethod
    async def of(cls, settings: Settings, pipeline: str) -> "Letterbox":
        """Return the letterbox of *pipeline*.

        Raises:
            PipelineTopicsError: it has no topics.
            BrokerUnreachableError: no broker answers.
        """
        return cls(settings, await find_topics(settings, pipeline))

    async def letters(self, code: str | None) -> AsyncGenerator[Letter, None]:
        """Give all letters that are there now; with *code* those of it.

        In order within a partition.
        """
        tps = [self._partition(p) for p in range(self._topics.partitions)]
        async with reading(self._bootstrap, tps, "earliest") as reader:
            async for record in reader.to_end():
                letter = Letter(record=record)
                if code in (None, letter.code):
                    yield letter

    async def newest(self, count: int, code: str | None) -> list[Letter]:
        """Return the last *count* letters without their bytes, oldest first."""
        kept: dict[int, deque[Letter]] = {}
        async for letter in self.letters(code):
            last = kept.setdefault(letter.record.partition, deque(maxlen=count))
            # A list of them must not take as much memory as they do.
            last.append(Letter(record=replace(letter.record, value=None)))
        found = [letter for last in kept.values() for letter in last]
        found.sort(key=lambda letter: letter.record.timestamp_ms)
        return found[-count:]

    async def at(self, partition: int, offset: int) -> Letter:
        """Return the letter at one place.

        Raises:
            LetterNotFoundError: there is none, or not any more.
        """
        tp = self._partition(partition)
        if partition < self._topics.partitions:
            async with reading(self._bootstrap, [tp], offset) as reader:
                async with aclosing(reader.to_end()) as records:
                    record = await anext(records, None)
                # Another one follows where it expired, or where a marker is.
                if record is not None and record.offset == offset:
                    return Letter(record=record)
        raise LetterNotFoundError(tp.topic, partition, offset)

    @contextlib.asynccontextmanager
    async def offering(self) -> AsyncIterator[Offer]:
        """Connect a producer for the length of a block; give what sends with it.

        Raises:
            KafkaError: the broker cannot be reached; when sending, it refused.
        """
        producer: Any = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            # The record fitted its topic once; the broker knows best if it does now.
            max_request_size=2 * self._limit_bytes,
        )

        async def offer(letter: Letter) -> Source:
            again = letter.again()
            at = again.partition
            known = at is not None and at < self._topics.partitions
            sent = await producer.send_and_wait(
                self._topics.names.requests,
                again.value,
                key=again.key,
                partition=at if known else None,  # else by its key, as producers do
                timestamp_ms=again.timestamp_ms,
                headers=list(again.headers),
            )
            return Source(
                topic=sent.topic, partition=sent.partition, offset=sent.offset
            )

        try:
            await producer.start()
            yield offer
        finally:
            await producer.stop()

    def _partition(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topics.names.dlq, partition)
