"""Lost markers: what a coordinator left open is ended here, as it was decided.

A transaction is decided by a record in its coordinator's log; then each of its
partitions gets a marker. Apache Kafka 4.3.1 skips a partition that has no leader just
then, as if it were deleted, and calls the transaction complete. A broker that is killed
and comes back has none for its partitions until its old registration is fenced.
(docs/decisions/0016-lost-markers.md shows it without any code of ours.)

What was written to such a partition stays open. Readers of committed records stop in
front of it, and the next marker of the same producer decides it, although it belongs
to another transaction: results come twice, or never.

A task is the only writer of its partitions, so it can tell: after InitProducerId
nothing of its former producer may be open. What is gets the marker that it lost, from
an empty transaction. How it was decided, DescribeTransactions (KIP-664) says before
InitProducerId, and never after it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, LeaderNotAvailableError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

log = structlog.get_logger(__name__)

COMMITTED: Final = frozenset({"PrepareCommit", "CompleteCommit"})
FORGOTTEN: Final = frozenset({"Empty", "Dead", ""})
"""States of a transactional id whose last transaction nobody knows any more."""

LATEST: Final = -1
READ_UNCOMMITTED, READ_COMMITTED = 0, 1
UNKNOWN_ID: Final = 105
"""TRANSACTIONAL_ID_NOT_FOUND: it never had a transaction, or not for days."""

LOOK_EVERY_S: Final = 0.02
LOOKS: Final = 100
"""Markers are written after EndTxn was answered, within milliseconds."""


class StillOpenError(KafkaError):  # type: ignore[misc] # aiokafka is untyped
    """A partition of ours has an open transaction that is not ours."""

    def __init__(self, tps: Iterable[TopicPartition]) -> None:
        places = ", ".join(sorted(f"{tp.topic}[{tp.partition}]" for tp in tps))
        super().__init__(
            f"{places}: somebody else's transaction is open there, and nothing behind "
            "it can be read. End it: `kafka-transactions.sh find-hanging`, then `abort`"
        )


class LostMarkers:
    """Ends what lost its markers, for the producers of one worker."""

    def __init__(
        self,
        *,
        state: Iterable[str] = (),
        outputs: Iterable[str] = (),
        shared: Iterable[str] = (),
        partitions: int = 0,
        found: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Look at the partitions that tasks write.

        *state* and *outputs* are topics of which a task writes its own partition only;
        *state* must be readable to its end before a task may go on. *shared* topics
        are written by all, anywhere. *found* is told how many markers were missing.
        """
        self._state = tuple(state)
        self._outputs = tuple(outputs)
        self._shared = tuple(shared)
        self._partitions = partitions
        self._found = found
        # By transactional id, until it was used: a renewal may fail half way.
        self._committed: dict[str, bool] = {}

    async def remember(self, producer: Any, transactional_id: str) -> None:
        """Ask how the last transaction was decided; before InitProducerId.

        Raises:
            KafkaError: the coordinator does not say.
        """
        state = await _state_of(producer, transactional_id)
        if state not in FORGOTTEN:
            # InitProducerId aborts one that is not decided.
            self._committed[transactional_id] = state in COMMITTED

    async def end(self, producer: Any, transactional_id: str, partition: int) -> None:
        """End what is left open; after InitProducerId, before anything is written.

        Raises:
            StillOpenError: somebody else's transaction is in the way.
            KafkaError: the broker does not answer.
        """
        state = [TopicPartition(topic, partition) for topic in self._state]
        outputs = [TopicPartition(topic, partition) for topic in self._outputs]
        shared = [
            TopicPartition(topic, number)
            for topic in self._shared
            for number in range(self._partitions)
        ]
        left = await left_open(producer.client, [*state, *outputs, *shared])
        if left:
            # Of nobody's last transaction nothing can be open, unless a worker died
            # between its two questions: what it had decided to commit comes again.
            commit = self._committed.get(transactional_id, False)
            own = [tp for tp in left if tp not in shared]
            if own:
                self._found(len(own))
                log.warning(
                    "transaction.markers_lost",
                    partitions=[f"{tp.topic}[{tp.partition}]" for tp in own],
                    outcome="commit" if commit else "abort",
                )
            await _mark(producer, left, commit=commit)
            await _readable(producer.client, state)
        self._committed.pop(transactional_id, None)


async def left_open(
    client: Any, tps: Sequence[TopicPartition]
) -> Sequence[TopicPartition]:
    """Return those of *tps* that readers of committed records cannot read to the end.

    Raises:
        KafkaError: a leader is missing, or does not answer.
    """
    topics = {tp.topic for tp in tps}
    if tps and not await client.set_topics(topics | client.cluster.topics()):
        raise LeaderNotAvailableError(*topics)
    # Nothing is open in a topic that is gone; its task finds out when it writes there.
    tps = [tp for tp in tps if client.cluster.leader_for_partition(tp) is not None]
    # In this order, so that what ends meanwhile may look open, and never the reverse.
    stable = await _ends(client, tps, READ_COMMITTED)
    ends = await _ends(client, tps, READ_UNCOMMITTED)
    return [tp for tp in tps if stable[tp] < ends[tp]]


async def _ends(
    client: Any, tps: Sequence[TopicPartition], isolation: int
) -> Mapping[TopicPartition, int]:
    by_leader: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for tp in tps:
        leader = client.cluster.leader_for_partition(tp)
        if leader < 0:
            place = f"{tp.topic}[{tp.partition}]"
            raise LeaderNotAvailableError(place)
        by_leader[leader][tp.topic].append((tp.partition, LATEST))
    found: dict[TopicPartition, int] = {}
    for leader, topics in by_leader.items():
        request = OffsetRequest(-1, isolation, list(topics.items()))
        response = await client.send(leader, request)
        for topic, partitions in response.topics:
            for partition, code, _timestamp, offset in partitions:
                _check(code)
                found[TopicPartition(topic, partition)] = offset
    return found


async def _mark(producer: Any, tps: Iterable[TopicPartition], *, commit: bool) -> None:
    """Write a marker to each of *tps*: of a transaction that has no records."""
    await producer.begin_transaction()
    for tp in tps:
        producer._txn_manager.maybe_add_partition_to_txn(tp)  # noqa: SLF001 - pinned
    await (producer.commit_transaction() if commit else producer.abort_transaction())


async def _readable(client: Any, tps: Sequence[TopicPartition]) -> None:
    looks = LOOKS
    while left := await left_open(client, tps):
        looks -= 1
        if not looks:
            raise StillOpenError(left)
        await asyncio.sleep(LOOK_EVERY_S)


async def _state_of(producer: Any, transactional_id: str) -> str:
    """Return the state of *transactional_id*, empty where it has none."""
    node = await producer._sender._find_coordinator(  # noqa: SLF001 - pinned; it waits
        CoordinationType.TRANSACTION, transactional_id
    )
    response = await producer.client.send(
        node,
        _DescribeTransactions(transactional_id),
        group=ConnectionGroup.COORDINATION,
    )
    [(code, _, state, *_)] = response.transactions
    if code == UNKNOWN_ID:
        return ""
    _check(code)
    return str(state)


def _check(code: int) -> None:
    error = for_code(code)
    if code:
        raise error


class _Transactions(Response):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transactions",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", CompactString("utf-8")),
                ("state", CompactString("utf-8")),
                ("timeout_ms", Int32),
                ("start_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                (
                    "topics",
                    CompactArray(
                        ("topic", CompactString("utf-8")),
                        ("partitions", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeStruct(RequestStruct):  # type: ignore[misc] # aiokafka is untyped
    FLEXIBLE_VERSION = True
    API_KEY = 65
    API_VERSION = 0
    RESPONSE_TYPE = _Transactions
    SCHEMA = Schema(
        ("transactional_ids", CompactArray(CompactString("utf-8"))),
        ("tags", TaggedFields),
    )


class _DescribeTransactions(Request[_DescribeStruct]):  # type: ignore[misc] # as above
    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        self._transactional_id = transactional_id

    def build(self, request_struct_class: type[_DescribeStruct]) -> _DescribeStruct:
        return request_struct_class([self._transactional_id], {})
