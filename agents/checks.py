"""Checks before a worker joins its group: better no start than a wrong one."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.closing import started
from agents.exit_codes import ExitCode
from agents.failures import BrokerUnreachableError, EdgeError
from agents.group import other_sets
from agents.kafka_admin import admin_of
from agents.position import KEY as POSITION_KEY
from agents.position import Position
from agents.provisioning import check as check_topics
from agents.restore import changelog, private_consumer
from agents.serde import Topics
from agents.tables import TASKS
from streams.config import Settings

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 0.2

TAIL: Final = 16
"""Records read from the end of a tasks changelog before looking further back."""


class ShapeError(EdgeError):
    """Other workers of the group run another set of pipelines."""

    code = "app.shape"
    exit_code = ExitCode.USAGE

    def __init__(self, group: str, members: int) -> None:
        super().__init__(
            f"group {group} has {members} members with another set of pipelines or "
            "partitions: roll all workers at once (stop all, then start all), or "
            "deploy the new pipeline as an app of its own (PENSTOCK_APP)"
        )


class NotNewError(EdgeError):
    """An app without a history finds results of another one."""

    code = "app.not_new"
    exit_code = ExitCode.USAGE

    def __init__(self, group: str, topic: str) -> None:
        super().__init__(
            f"group {group} has no history, but {topic} has results already: with "
            "another PENSTOCK_APP or PENSTOCK_PREFIX every request is paid again. If "
            "that is meant: PENSTOCK_NEW_APP=true"
        )


async def check(
    settings: Settings, topics: Mapping[str, Topics], *, shape: str
) -> None:
    """Check broker, topics, the group's shape and its history.

    Raises:
        BrokerUnreachableError: nobody answers.
        BrokerTooOldError: Kafka before 4.0.
        TopicError: topics are missing or wrong, all of them named.
        ShapeError: the group runs another set of pipelines.
        NotNewError: results exist, and this app made none of them.
    """
    await check_topics(settings, sorted(topics))
    async with admin_of(settings.bootstrap) as admin:
        positions = await _positions(settings)
        sources = frozenset(t.requests for t in topics.values())
        await refuse_other_sets(admin, settings.group, sources)
        if any(position.shape != shape for position in positions):
            log.info("app.shape_changed", group=settings.group)
        if not positions and not settings.new_app:
            await _refuse_foreign_results(admin, settings, topics)


async def refuse_other_sets(
    admin: AIOKafkaAdminClient,
    group: str,
    sources: frozenset[str],
    *,
    current: Callable[[], bool] = lambda: True,
) -> None:
    """Check that all members of *group* read *sources*; waits for a rebalance to end.

    Who is given up as not *current* need not know.

    Raises:
        ShapeError: some read other request topics.
    """
    while current():
        members = await other_sets(admin, group, sources)
        if members:
            raise ShapeError(group, members)
        if members is not None:
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def until_among_equals(
    bootstrap: str,
    group: str,
    sources: frozenset[str],
    *,
    current: Callable[[], bool],
) -> None:
    """Return once it is known that no member of *group* runs another set of pipelines.

    For a member that is about to get its first task: who started in the same moment
    was not there to be seen before. Or once *current* is over; not to know is waited
    for.

    Raises:
        ShapeError: another member runs another set.
    """
    while current():
        try:
            async with admin_of(bootstrap) as admin:
                await refuse_other_sets(admin, group, sources, current=current)
        except (KafkaError, BrokerUnreachableError, OSError) as error:
            log.warning("group.unknown", error=repr(error))
            await asyncio.sleep(LOOK_EVERY_S)
        else:
            return


async def _positions(settings: Settings) -> list[Position]:
    """Return the last position record of every partition that has one."""
    topic = changelog(settings.group, TASKS)
    tps = [TopicPartition(topic, p) for p in range(settings.partitions)]
    async with started(private_consumer(settings.bootstrap)) as consumer:
        consumer.assign(tps)
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        found = [await _last(consumer, tp, begins[tp], ends[tp]) for tp in tps]
    return [Position.unpack(stored) for stored in found if stored]


async def _last(
    consumer: Any, tp: TopicPartition, begin: int, end: int
) -> bytes | None:
    """Return the last position record of *tp*, reading backwards."""
    back = TAIL
    while True:
        at = max(begin, end - back)
        values = [
            record.value
            async for record in _between(consumer, tp, at, end)
            if record.key == POSITION_KEY
        ]
        if values or at == begin:
            return values[-1] if values else None
        back *= 8


async def _between(consumer: Any, tp: TopicPartition, start: int, end: int) -> Any:
    consumer.seek(tp, start)
    while await consumer.position(tp) < end:
        fetched = await consumer.getmany(tp, timeout_ms=200)
        for record in fetched.get(tp, ()):
            yield record


async def _refuse_foreign_results(
    admin: AIOKafkaAdminClient,
    settings: Settings,
    topics: Mapping[str, Topics],
) -> None:
    if await admin.list_consumer_group_offsets(settings.group):
        return  # agents/sources.py says what to do about a lost position record
    tps = [
        TopicPartition(t.results, p)
        for t in topics.values()
        for p in range(settings.partitions)
    ]
    taken = await _with_records(settings.bootstrap, tps)
    if taken is not None:
        raise NotNewError(settings.group, taken.topic)


async def _with_records(
    bootstrap: str, tps: Iterable[TopicPartition]
) -> TopicPartition | None:
    wanted = list(tps)
    async with started(private_consumer(bootstrap)) as consumer:
        ends = await consumer.end_offsets(wanted)
    return next((tp for tp in wanted if ends[tp] > 0), None)
