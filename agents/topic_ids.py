"""Asks Kafka for topics' own ids: one that was deleted and made again has another."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

METADATA: Final = 3
WITHIN_S: Final = 20.0


async def topic_ids(bootstrap: str, topics: Iterable[str]) -> Mapping[str, str]:
    """Return the id behind each name; a topic that is not there has none.

    Raises:
        KafkaError: no broker answers, or it refuses.
        TimeoutError: it takes too long.
    """
    client: Any = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        async with asyncio.timeout(WITHIN_S):
            await client.bootstrap()
            reply = await client.send(client.get_random_node(), _Metadata(topics))
    finally:
        await client.close()
    return {
        name: UUID(int=(high % _WORD) << 64 | low % _WORD).hex
        for error, name, high, low, *_ in reply.topics
        if not error and (high or low)
    }


_WORD: Final = 1 << 64

# aiokafka stops at version 5. The first with ids is 10, the first that may ask for
# names with nothing behind them is 12. A UUID is two words.

_PARTITION: Final = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline", CompactArray(Int32)),
    ("tags", TaggedFields),
)


class _MetadataResponse(Response):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = METADATA
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("id_high", Int64),
                ("id_low", Int64),
                ("is_internal", Boolean),
                ("partitions", CompactArray(*_PARTITION)),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc] # aiokafka is untyped
    FLEXIBLE_VERSION = True
    API_KEY = METADATA
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("id_high", Int64),
                ("id_low", Int64),
                ("name", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("create", Boolean),
        ("operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata(Request[_MetadataStruct]):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = METADATA

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        no_tags: dict[int, bytes] = {}
        wanted = [(0, 0, topic, no_tags) for topic in self._topics]
        return request_struct_class(wanted, False, False, no_tags)  # noqa: FBT003 - Kafka's
