"""Follows a pipeline: gives results, and stage records, as they are committed."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from agents.client.pipeline_topics import find_topics
from agents.client.reader import Start, reading
from agents.client.schemas_by_id import schemas_of
from agents.record import Record
from schemas.errors import SchemaError
from streams.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One committed record of a pipeline, read as far as it can be."""

    record: Record
    value: dict[str, Any] | None
    problem: str | None
    """Why there is no value."""


async def follow(
    settings: Settings,
    pipeline: str,
    *,
    stages: bool,
    start: Start,
    session_id: str | None,
) -> AsyncGenerator[Seen, None]:
    """Give the results of *pipeline* as they come, for ever.

    With *session_id* those of one session, which all are in its home partition.

    Raises:
        PipelineTopicsError: *pipeline* has no topics.
    """
    topics = await find_topics(settings, pipeline)
    names = [topics.names.results, *([topics.names.stages] if stages else [])]
    every = range(topics.partitions)
    at = every if session_id is None else [topics.home(session_id)]
    tps = [TopicPartition(name, partition) for name in names for partition in at]
    key = None if session_id is None else session_id.encode()
    async with (
        schemas_of(settings) as schemas,
        reading(settings.bootstrap, tps, start) as reader,
    ):
        async for record in reader.records():
            if key is not None and record.key != key:
                continue
            try:
                value = await schemas.value_of(record)
            except SchemaError as error:
                # Somebody else's record: no reason to stop following.
                yield Seen(record=record, value=None, problem=str(error))
            else:
                yield Seen(record=record, value=value, problem=None)
