"""Looks whether a topic that we work on was deleted and made again."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from agents.origins import TopicRecreatedError, changed
from agents.topic_ids import topic_ids

log = structlog.get_logger(__name__)

EVERY_S: Final = 15.0
"""How long a recreated topic may be taken for the old one."""


async def watch_topics(
    bootstrap: str, topics: Iterable[str], on_recreated: Callable[[BaseException], None]
) -> None:
    """Compare the ids of *topics* with the first ones seen, for ever."""
    first: dict[str, str] = {}
    topics = tuple(topics)
    while True:
        try:
            ids = await topic_ids(bootstrap, topics)
        except (KafkaError, TimeoutError, OSError) as error:
            log.info("topics.unknown", error=repr(error))
        else:
            if anew := changed(first, ids):
                on_recreated(TopicRecreatedError(anew))
            first = {**ids, **first}
        await asyncio.sleep(EVERY_S)
