"""Asks a pipeline: sends one request, and waits for its terminal."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from agents.client.inputs import Inputs
from agents.client.pipeline_topics import PipelineTopics, find_topics
from agents.client.reader import Reader, reading
from agents.client.schemas_by_id import Schemas, schemas_of
from agents.client.sender import sending
from agents.failures import NoResultError
from schemas.codec import ParsedSchema
from schemas.records import Request, Source
from streams.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request as a person gives it."""

    pipeline: str
    request_id: str
    session_id: str | None
    deadline_ms: int | None
    """Epoch milliseconds."""
    texts: Mapping[str, str]
    """Inputs as text, to be read as the schema says."""
    values: Mapping[str, Any]
    """Inputs with types of their own."""

    def request(self, schema: ParsedSchema) -> Request:
        """Return the request that it is, under *schema*.

        Raises:
            InputsRefusedError: with every problem, by field.
        """
        return Request(
            request_id=self.request_id,
            session_id=self.session_id,
            pipeline=self.pipeline,
            deadline_ms=self.deadline_ms,
            inputs=Inputs(schema).check(self.texts, self.values),
        )


async def send(settings: Settings, question: Question) -> Source:
    """Send *question*; return where it is.

    Raises:
        PipelineTopicsError: the pipeline has no topics.
        NoSchemaError: no worker of it has ever run.
        InputsRefusedError: its inputs do not fit, every problem named.
        SchemaError: it cannot be encoded, or the registry does not answer.
    """
    topics = await find_topics(settings, question.pipeline)
    async with schemas_of(settings) as schemas:
        schema = await schemas.newest(topics.names.requests)
    return await _send(settings, topics, schema, question.request(schema))


async def ask(
    settings: Settings, question: Question, *, wait_s: float
) -> dict[str, Any]:
    """Send *question*; return the value of its terminal.

    Raises:
        NoResultError: it did not come within *wait_s*.
        PipelineTopicsError: the pipeline has no topics.
        NoSchemaError: no worker of it has ever run.
        InputsRefusedError: its inputs do not fit, every problem named.
        SchemaError: it cannot be encoded, or the registry does not answer.
    """
    topics = await find_topics(settings, question.pipeline)
    async with schemas_of(settings) as schemas:
        schema = await schemas.newest(topics.names.requests)
        request = question.request(schema)
        home = TopicPartition(topics.names.results, topics.home(request.home))
        # In place before the request is sent: its terminal comes behind this.
        async with reading(settings.bootstrap, [home], "latest") as reader:
            await _send(settings, topics, schema, request)
            try:
                async with asyncio.timeout(wait_s):
                    return await _terminal(reader, schemas, request)
            except TimeoutError as error:
                raise NoResultError(request.request_id, wait_s) from error


async def _send(
    settings: Settings, topics: PipelineTopics, schema: ParsedSchema, request: Request
) -> Source:
    async with sending(settings.bootstrap, topics, schema) as sender:
        sent = await (await sender.send(request))
    return Source(topic=sent.topic, partition=sent.partition, offset=sent.offset)


async def _terminal(
    reader: Reader, schemas: Schemas, request: Request
) -> dict[str, Any]:
    key = request.home.encode()
    async for record in reader.records():
        # Most records are others': the key tells without decoding.
        if record.key == key:
            value = await schemas.value_of(record)
            if value["request_id"] == request.request_id:
                return value
    raise AssertionError  # records() never ends
