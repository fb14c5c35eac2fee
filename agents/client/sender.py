"""Sends requests to their home partitions, in the order in which they are given."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaProducer

from agents.client.pipeline_topics import PipelineTopics
from schemas.codec import ParsedSchema, encode, frame
from schemas.envelopes import request_value
from schemas.records import Request


class Sender:
    """A producer for the requests of one pipeline."""

    def __init__(
        self, producer: Any, topics: PipelineTopics, schema: ParsedSchema
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._schema = schema

    async def send(self, request: Request) -> "asyncio.Future[Any]":
        """Hand *request* over; the future has its coordinates once Kafka has it.

        Raises:
            EncodeError: it does not fit the schema.
        """
        body = encode(self._schema, request_value(request))
        sent: asyncio.Future[Any] = await self._producer.send(
            self._topics.names.requests,
            frame(self._schema.id, body),
            key=request.home.encode(),
            partition=self._topics.home(request.home),
        )
        return sent


@contextlib.asynccontextmanager
async def sending(
    bootstrap: str, topics: PipelineTopics, schema: ParsedSchema
) -> AsyncIterator[Sender]:
    """Connect a producer for the length of a block; idempotent, so order is kept.

    Raises:
        KafkaError: the broker cannot be reached.
    """
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    try:
        await producer.start()
        yield Sender(producer, topics, schema)
    finally:
        await producer.stop()
