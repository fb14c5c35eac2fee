"""Transactions: one Kafka transaction per group of settlements, and its outcome.

aiokafka's transactional producer is used batch-wise: a task's records all go to the
task's own partition number, so one batch per topic replaces one future per record.

An attempt ends in one of four ways, and the caller has to treat them differently:

- :class:`Committed`   it is in; here are the offsets its records got
- :class:`NotCommitted` EndTxn was never sent: it is surely not in
- :class:`InDoubt`     EndTxn was sent and nobody answered: read the position record
- :class:`Fenced`      another producer took our transactional id, or our transaction
  outlived its timeout (the broker says the same in both cases)

After anything but Committed the producer is thrown away. aiokafka speaks EndTxn v0,
so a delayed EndTxn of an abandoned producer could otherwise end its *next*
transaction (KIP-890; Jepsen on Bufstream 0.1.0); a new producer has a new epoch.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    IllegalOperation,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    PolicyViolationError,
    ProducerFenced,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.structs import OffsetAndMetadata
from msgspec import Struct

from agents.closing import stop_producer
from agents.lost_markers import LostMarkers

FENCED: Final = (ProducerFenced, InvalidProducerEpoch, InvalidProducerIdMapping)

RECORDS_FAULT: Final = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    CorruptRecordException,
    InvalidTimestampError,
    PolicyViolationError,
)
"""What the broker says of a record that it will never take. Everything else, such as
a missing topic or a lost permission, is not the record's fault: it waits."""

REFUSALS: Final = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    ClusterAuthorizationFailedError,
)
"""What a broker says to somebody who lost a permission. It is nobody's fault here."""

BATCH_BYTES: Final = 256 * 1024
"""Target size of a record batch. `max.message.bytes` limits whole batches, so it is
kept far below; a larger single record travels in a batch of its own."""


class Outgoing(Struct, frozen=True, kw_only=True):
    """One record of a transaction, with its destination settled."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None


class Committed(Struct, frozen=True, kw_only=True):
    """The transaction is in."""

    next_offsets: Mapping[TopicPartition, int]
    """The offset behind the last record, by topic partition."""


class NotCommitted(Struct, frozen=True, kw_only=True):
    """The transaction is surely not in."""

    error: BaseException
    topic: str | None = None
    """The topic that refused a record, where it was one."""

    @property
    def records_fault(self) -> bool:
        """Say whether one of the records is to blame, and will be again."""
        return isinstance(self.error, RECORDS_FAULT)


class InDoubt(Struct, frozen=True, kw_only=True):
    """EndTxn was sent, and its outcome is unknown."""

    error: BaseException


class Fenced(Struct, frozen=True, kw_only=True):
    """The producer was replaced, or its transaction outlived its timeout."""

    error: BaseException


Outcome = Committed | NotCommitted | InDoubt | Fenced


class Transactor:
    """The transactional producer of one task."""

    def __init__(  # noqa: PLR0913 - the composition root wires it
        self,
        bootstrap: str,
        transactional_id: str,
        *,
        group: str,
        commit_timeout_s: float,
        transaction_timeout_s: float,
        partition: int = 0,
        markers: LostMarkers | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._transactional_id = transactional_id
        self._group = group
        self._partition = partition
        self._markers = markers or LostMarkers()
        self._commit_timeout_s = commit_timeout_s
        self._transaction_timeout_s = transaction_timeout_s
        self._producer: Any = None
        self._link: Any = None

    @property
    def lost_touch(self) -> bool:
        """Whether the connection to the coordinator is not what it was."""
        if self._producer is None:
            return False
        link = _link(self._producer)
        return link is None or link is not self._link or not link.connected()

    async def renew(self) -> None:
        """Become the only producer with this transactional id (InitProducerId).

        It ends whatever transaction a former producer left open, so what is read
        after it is stable.

        Raises:
            KafkaError: the broker cannot be reached, or refuses.
            TimeoutError: it takes longer than a transaction may.
        """
        await self.close()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            transactional_id=self._transactional_id,
            transaction_timeout_ms=round(self._transaction_timeout_s * 1_000),
            request_timeout_ms=round(self._commit_timeout_s * 1_000),
            max_batch_size=BATCH_BYTES,
            linger_ms=0,
            retry_backoff_ms=20,
        )
        try:
            async with asyncio.timeout(self._transaction_timeout_s):
                await self._begin(producer)
        except BaseException:
            await stop_producer(producer)
            raise
        self._producer, self._link = producer, _link(producer)

    async def _begin(self, producer: Any) -> None:
        await producer.client.bootstrap()
        await self._markers.remember(producer, self._transactional_id)
        await producer.start()
        await self._markers.end(producer, self._transactional_id, self._partition)

    async def commit(
        self,
        records: Sequence[Outgoing],
        offsets: Mapping[TopicPartition, int],
    ) -> Outcome:
        """Publish *records* and commit *offsets* in one transaction."""
        if self.lost_touch:
            return NotCommitted(error=ReconnectedError())
        try:
            next_offsets = await self._fill(records, offsets)
        except _RefusedError as refusal:
            return _failed(self._reason(refusal.error), refusal.topic)
        except (KafkaError, TimeoutError, AssertionError) as error:
            return _failed(self._reason(error), None)
        return await self._end(next_offsets)

    def _reason(self, error: BaseException) -> BaseException:
        """Return what ended the transaction, where *error* only follows from it.

        A topic, group or transactional id that we lost the right to write is said
        once, to nobody who waits for a record; all that comes behind it only hears
        that there is no transaction.
        """
        end = self._producer._txn_manager.wait_for_transaction_end()  # noqa: SLF001
        untold = end is None or not end.done() or end.cancelled()
        if untold or isinstance(error, FENCED):
            return error
        told: BaseException = end.exception() or error
        # What it did not expect it wraps, and a lost permission is not in its list.
        if isinstance(told.__cause__, REFUSALS):
            told = told.__cause__
        return told

    async def close(self) -> None:
        """Stop the producer, within bounds; an open transaction is left to abort."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer)

    async def _fill(
        self, records: Sequence[Outgoing], offsets: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        producer = self._producer
        # What is left of the transaction's life belongs to EndTxn.
        async with asyncio.timeout(
            self._transaction_timeout_s - self._commit_timeout_s
        ):
            await producer.begin_transaction()
            sent = [
                (tp, builder.record_count(), await self._send(builder, tp))
                for tp, builder in _batches(producer, records)
            ]
            if offsets:
                await producer.send_offsets_to_transaction(
                    {tp: OffsetAndMetadata(at, "") for tp, at in offsets.items()},
                    self._group,
                )
            # Every single one: aiokafka commits happily although a send failed.
            return await _delivered(sent)

    async def _send(self, builder: Any, tp: TopicPartition) -> asyncio.Future[Any]:
        try:
            future: asyncio.Future[Any] = await self._producer.send_batch(
                builder, tp.topic, partition=tp.partition
            )
        except (KafkaError, ValueError, IllegalOperation) as error:
            raise _RefusedError(error, tp.topic) from error
        # Nobody may come to ask: the first failure ends the attempt.
        future.add_done_callback(_seen)
        return future

    async def _end(self, next_offsets: dict[TopicPartition, int]) -> Outcome:
        try:
            # aiokafka re-sends EndTxn for ever and never reports it: our own timer.
            async with asyncio.timeout(self._commit_timeout_s):
                await self._producer.commit_transaction()
        except FENCED as error:
            return Fenced(error=error)
        except (KafkaError, TimeoutError) as error:
            return InDoubt(error=error)
        except AssertionError as error:
            return Fenced(error=error)
        return Committed(next_offsets=next_offsets)


class ReconnectedError(KafkaError):  # type: ignore[misc] # aiokafka is untyped
    """The coordinator answered the last EndTxn, and then its connection broke.

    Its markers may be lost (agents/lost_markers.py), and a transaction on top of them
    would decide them. So the producer is renewed first.
    """


class _RefusedError(Exception):
    """A send failed; *topic* says whose."""

    def __init__(self, error: BaseException, topic: str) -> None:
        super().__init__(topic)
        self.error = error
        self.topic = topic


def _link(producer: Any) -> Any:
    """Return *producer*'s connection to its transaction coordinator."""
    node = producer._sender._coordinators.get(CoordinationType.TRANSACTION)  # noqa: SLF001
    return producer.client._conns.get((node, ConnectionGroup.COORDINATION))  # noqa: SLF001


def _seen(future: "asyncio.Future[Any]") -> None:
    """Keep asyncio from logging a failure that is dealt with elsewhere."""
    if not future.cancelled():
        future.exception()


def _failed(error: BaseException, topic: str | None) -> Outcome:
    if isinstance(error, (*FENCED, OutOfOrderSequenceNumber, AssertionError)):
        # aiokafka asserts on its own state machine once its sender saw a fence.
        return Fenced(error=error)
    return NotCommitted(error=error, topic=topic)


def _batches(
    producer: Any, records: Iterable[Outgoing]
) -> list[tuple[TopicPartition, Any]]:
    """Pack *records* into batches, order kept within each topic partition."""
    full: list[tuple[TopicPartition, Any]] = []
    filling: dict[TopicPartition, Any] = {}
    for record in records:
        tp = TopicPartition(record.topic, record.partition)
        builder = filling.get(tp)
        if builder is None or not _append(builder, record):
            if builder is not None:
                full.append((tp, builder))
            builder = filling[tp] = producer.create_batch()
            _append(builder, record)
    return full + list(filling.items())


def _append(builder: Any, record: Outgoing) -> bool:
    appended = builder.append(
        key=record.key,
        value=record.value,
        timestamp=record.timestamp_ms,
        headers=list(record.headers),
    )
    return appended is not None


async def _delivered(
    sent: Sequence[tuple[TopicPartition, int, asyncio.Future[Any]]],
) -> dict[TopicPartition, int]:
    next_offsets: dict[TopicPartition, int] = {}
    failure: _RefusedError | None = None
    for tp, count, future in sent:
        try:
            metadata = await future
        except KafkaError as error:
            failure = failure or _RefusedError(error, tp.topic)
        else:
            next_offsets[tp] = max(next_offsets.get(tp, 0), metadata.offset + count)
    if failure is not None:
        raise failure
    return next_offsets
