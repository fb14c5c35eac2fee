"""Sources: where to begin reading each request topic, or why not to begin at all.

The position record is the truth and the group's committed offset is its copy. Where
they differ, the record wins; where the record is gone, nobody guesses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.closing import started
from agents.failures import EdgeError
from agents.position import Position, SourcePosition
from agents.restore import private_consumer

log = structlog.get_logger(__name__)


class SourceError(EdgeError):
    """A request topic is not what the position record knows."""

    code = "source"


class SourceLostError(SourceError):
    """Records that nobody answered are gone from a request topic."""

    def __init__(
        self, tp: TopicPartition, following: int, begin: int, end: int
    ) -> None:
        super().__init__(
            f"{tp.topic}[{tp.partition}]: offset {following} is next, the topic has "
            f"{begin} to {end}. Restore the topic, or go on without the missing "
            "records: PENSTOCK_ACCEPT_LOSS=true"
        )


class PositionLostError(SourceError):
    """The group has committed offsets, and there is no position record."""

    def __init__(self, tp: TopicPartition, committed: int) -> None:
        super().__init__(
            f"{tp.topic}[{tp.partition}]: the group committed offset {committed}, but "
            "its position record is gone. Decide where to go on: "
            "`penstock offsets reset --to group` or `--to earliest`"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicEnds:
    """What a broker says about the request topics' partitions."""

    begins: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    committed: Mapping[TopicPartition, int]

    def behind(
        self, topics: Iterable[str], partition: int, known: Position | None
    ) -> list[str]:
        """Return the *topics* whose group offset is not the one that is *known*."""
        sources = known.sources if known else {}
        return [
            topic
            for topic in topics
            if topic in sources
            and self.committed.get(TopicPartition(topic, partition))
            != sources[topic].next
        ]


async def read_ends(
    bootstrap: str, group: str, tps: Iterable[TopicPartition]
) -> TopicEnds:
    """Ask the broker for first, end and committed offsets of *tps*."""
    wanted = list(tps)
    async with started(private_consumer(bootstrap)) as consumer:
        begins = await consumer.beginning_offsets(wanted)
        ends = await consumer.end_offsets(wanted)
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        committed = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return TopicEnds(
        begins=begins,
        ends=ends,
        committed={tp: o.offset for tp, o in committed.items() if o.offset >= 0},
    )


def start_of(
    tp: TopicPartition,
    position: Position | None,
    ends: TopicEnds,
    *,
    latest: bool,
    accept_loss: bool,
) -> SourcePosition:
    """Return where to begin with *tp*.

    Raises:
        SourceLostError: what is next is not there any more.
        PositionLostError: there is no record, although there was one.
    """
    begin, end = ends.begins[tp], ends.ends[tp]
    committed = ends.committed.get(tp)
    known = position.sources.get(tp.topic) if position else None
    if known is None:
        if committed is None:
            return SourcePosition(next=end if latest else begin)
        if not accept_loss:
            raise PositionLostError(tp, committed)
        known = SourcePosition(next=committed)
    if begin <= known.next <= end:
        if committed is not None and committed != known.next:
            log.info("offsets.differ", tp=str(tp), record=known.next, group=committed)
        return known
    if not accept_loss:
        raise SourceLostError(tp, known.next, begin, end)
    log.warning("source.loss_accepted", tp=str(tp), record=known.next, begin=begin)
    if begin < known.next:
        return SourcePosition(next=begin)
    kept = tuple((max(a, begin), b) for a, b in known.ranges if b >= begin)
    return SourcePosition(next=begin, ranges=kept)
