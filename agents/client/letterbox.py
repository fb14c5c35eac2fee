"""The letterbox: the dead letters of one pipeline, read and offered again."""

from collections import deque
from collections.abc import AsyncIterator, Iterable

from aiokafka import AIOKafkaProducer, TopicPartition

from agents.client.letters import Letter
from agents.client.pipeline_topics import PipelineTopics, find_topics
from agents.client.reader import reading
from agents.failures import LetterNotFoundError
from schemas.records import Source
from streams.config import Settings


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

    async def newest(self, count: int, *, code: str | None) -> list[Letter]:
        """Return the last *count* letters, oldest first; with *code* those of it."""
        kept: dict[int, deque[Letter]] = {
            partition: deque(maxlen=count) for partition in range(self._topics.partitions)
        }
        tps = [TopicPartition(self._topics.names.dlq, partition) for partition in kept]
        async with reading(self._bootstrap, tps, "earliest") as reader:
            async for record in reader.to_end():
                letter = Letter(record=record)
                if code in (None, letter.code):
                    kept[record.partition].append(letter)
        letters = [letter for each in kept.values() for letter in each]
        letters.sort(key=lambda letter: letter.record.timestamp_ms)
        return letters[-count:]

    async def at(self, partition: int, offset: int) -> Letter:
        """Return the letter at one place.

        Raises:
            LetterNotFoundError: there is none, or not any more.
        """
        tp = TopicPartition(self._topics.names.dlq, partition)
        if partition < self._topics.partitions:
            async with reading(self._bootstrap, [tp], offset) as reader:
                async for record in reader.to_end():
                    if record.offset == offset:
                        return Letter(record=record)
                    break
        raise LetterNotFoundError(tp.topic, partition, offset)

    async def offer_again(
        self, letters: Iterable[Letter]
    ) -> AsyncIterator[tuple[Letter, Source]]:
        """Send *letters* to the request topic; give where each of them is now.

        Raises:
            KafkaError: the broker did not take one; those given are in.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            max_request_size=2 * self._limit_bytes,
        )
        await producer.start()
        try:
            for letter in letters:
                again = letter.again()
                at = again.partition
                known = at is not None and at < self._topics.partitions
                sent = await producer.send_and_wait(
                    self._topics.names.requests,
                    again.value,
                    key=again.key,
                    # Else by its key, as producers do.
                    partition=at if known else None,
                    timestamp_ms=again.timestamp_ms,
                    headers=list(again.headers),
                )
                yield (
                    letter,
                    Source(
                        topic=sent.topic, partition=sent.partition, offset=sent.offset
                    ),
                )
        finally:
            await producer.stop()
