"""Resets where an app goes on: new position records, and the offsets that copy them.

It does what a worker does when it acquires a task: it fences whoever owned it, and
writes a token of its own. A worker that sleeps through it finds itself replaced.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from agents.failures import GroupBusyError, OffsetsGoneError, ResetFailedError
from agents.group import member_count
from agents.kafka_admin import admin_of
from agents.lost_markers import LostMarkers
from agents.position import KEY, Position, SourcePosition
from agents.restore import changelog
from agents.sources import TopicEnds, read_ends
from agents.tables import TASKS
from agents.transactions import Committed, Outgoing, Transactor
from streams.config import Settings

Target = Literal["group", "earliest", "latest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where one partition of a request topic goes on."""

    tp: TopicPartition
    committed: int | None
    """What the group committed last."""
    begin: int
    end: int
    next: int | None
    """The offset to go on with; None as for a topic that is new."""


async def plan_reset(
    settings: Settings, topics: Sequence[str], target: Target
) -> list[Move]:
    """Return the moves that *target* means for the request *topics*.

    Raises:
        GroupBusyError: workers are running, or expected back.
        OffsetsGoneError: the group's offsets are not in their topics any more.
        BrokerUnreachableError: no broker answers.
    """
    async with admin_of(settings.bootstrap) as admin:
        members = await member_count(admin, settings.group)
    if members:
        raise GroupBusyError(settings.group, members)
    tps = [TopicPartition(t, p) for t in topics for p in range(settings.partitions)]
    ends = await read_ends(settings.bootstrap, settings.group, tps)
    moves = [_move(tp, ends, target) for tp in tps]
    gone = [
        f"{move.tp.topic}[{move.tp.partition}]: offset {move.next} is next, "
        f"the topic has {move.begin} to {move.end}"
        for move in moves
        if move.next is not None and not move.begin <= move.next <= move.end
    ]
    if gone:
        raise OffsetsGoneError(gone)
    return moves


async def reset(
    settings: Settings, moves: Sequence[Move], shape: str, markers: LostMarkers
) -> None:
    """Make *moves* true, one transaction for each partition number.

    *shape* is the fingerprint of the app, ``agents.app.shape_of``; *markers* looks at
    what its tasks write, ``agents.app.markers_of``.

    Raises:
        ResetFailedError: a partition's transaction is not in, or may not be.
    """
    for partition in sorted({move.tp.partition for move in moves}):
        here = [move for move in moves if move.tp.partition == partition]
        nexts = {m.tp: m.next for m in here if m.next is not None}
        await _reset(settings, partition, nexts, shape, markers)


def _move(tp: TopicPartition, ends: TopicEnds, target: Target) -> Move:
    begin, end, committed = ends.begins[tp], ends.ends[tp], ends.committed.get(tp)
    choices = {"group": committed, "earliest": begin, "latest": end}
    return Move(tp=tp, committed=committed, begin=begin, end=end, next=choices[target])


async def _reset(
    settings: Settings,
    partition: int,
    nexts: Mapping[TopicPartition, int],
    shape: str,
    markers: LostMarkers,
) -> None:
    position = Position(
        token=secrets.token_hex(8),
        number=0,
        shape=shape,
        sources={tp.topic: SourcePosition(next=at) for tp, at in nexts.items()},
    )
    record = Outgoing(
        topic=changelog(settings.group, TASKS),
        partition=partition,
        key=KEY,
        value=position.pack(),
    )
    transactor = Transactor(
        settings.bootstrap,
        f"{settings.group}-{partition}",
        group=settings.group,
        commit_timeout_s=settings.commit_timeout_s,
        transaction_timeout_s=settings.transaction_timeout_s,
        partition=partition,
        markers=markers,
    )
    try:
        await transactor.renew()
        outcome = await transactor.commit([record], nexts)
    except (KafkaError, TimeoutError) as error:
        raise ResetFailedError(partition, repr(error)) from error
    finally:
        await transactor.close()
    if not isinstance(outcome, Committed):
        raise ResetFailedError(partition, repr(outcome.error))
