"""Finds what became of a request, in its home partition and nowhere else."""

from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from agents.client.pipeline_topics import find_topics
from agents.client.reader import reading
from agents.client.schemas_by_id import schemas_of
from agents.failures import ResultNotFoundError
from streams.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is of a request."""

    result: dict[str, Any]
    """Its terminal; of a request that was replayed, the last one."""
    stages: tuple[dict[str, Any], ...]
    """Its stage records in their order, if they were asked for."""


async def find(
    settings: Settings,
    pipeline: str,
    request_id: str,
    *,
    session_id: str | None,
    stages: bool,
) -> Found:
    """Return what became of *request_id*.

    Raises:
        ResultNotFoundError: it is not in its home partition, or not any more.
        PipelineTopicsError: *pipeline* has no topics.
        SchemaError: a record cannot be read.
    """
    topics = await find_topics(settings, pipeline)
    home = session_id or request_id
    at = topics.home(home)
    names = [topics.names.results, *([topics.names.stages] if stages else [])]
    tps = [TopicPartition(name, at) for name in names]
    values: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    async with (
        schemas_of(settings) as schemas,
        reading(settings.bootstrap, tps, "earliest") as reader,
    ):
        async for record in reader.to_end():
            if record.key == home.encode():
                value = await schemas.value_of(record)
                if value["request_id"] == request_id:
                    values[record.topic].append(value)
    if not values[topics.names.results]:
        raise ResultNotFoundError(request_id, f"{names[0]}[{at}]", session_id)
    return Found(
        result=values[topics.names.results][-1],
        stages=tuple(values.get(topics.names.stages, ())),
    )
