"""Transactions on a real broker: how each attempt ends, and what readers then see."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest

from agents.transactions import (
    BATCH_BYTES,
    Committed,
    Fenced,
    InDoubt,
    NotCommitted,
    Outgoing,
    ReconnectedError,
    Transactor,
)
from tests.agents.committed import read_committed, reader_of

NUMBERS = itertools.count(1)
SMALL_BYTES = 2_000
"""The largest record that the strict topic takes."""
COMMIT_S, TRANSACTION_S = 1.0, 2.0


class Lab:
    """Topics of one test, their readers, and the producers of its tasks."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.name = f"transactions{os.getpid()}-{next(NUMBERS)}"
        self.out, self.strict = f"{self.name}.out", f"{self.name}.strict"
        self.transactors: list[Transactor] = []
        self.admin: Any = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def begin(self) -> None:
        await self.admin.start()
        small = {"max.message.bytes": str(SMALL_BYTES)}
        await self.admin.create_topics(
            [NewTopic(self.out, 2, 1), NewTopic(self.strict, 2, 1, topic_configs=small)]
        )

    async def end(self) -> None:
        await asyncio.gather(*(each.close() for each in self.transactors))
        await self.admin.close()

    async def transactor(self, kind: type[Transactor] = Transactor) -> Transactor:
        """Return a producer of the one task that there is."""
        made = kind(
            self.bootstrap,
            f"{self.name}-0",
            group=self.name,
            commit_timeout_s=COMMIT_S,
            transaction_timeout_s=TRANSACTION_S,
        )
        self.transactors.append(made)
        await made.renew()
        return made

    def record(
        self, value: bytes, *, partition: int = 0, topic: str | None = None
    ) -> Outgoing:
        return Outgoing(
            topic=topic or self.out, partition=partition, key=b"k", value=value
        )

    async def read(
        self, topic: str | None = None, partition: int = 0
    ) -> list[tuple[int, bytes]]:
        """Return what a read_committed reader sees once nothing is open."""
        tp = TopicPartition(topic or self.out, partition)
        return await read_committed(self.bootstrap, tp)

    async def nothing_open(self) -> bool:
        """Say whether no transaction holds readers back."""
        tp = TopicPartition(self.out, 0)
        ends = []
        for isolation in ("read_committed", "read_uncommitted"):
            async with reader_of(self.bootstrap, isolation) as reader:
                ends.append((await reader.end_offsets([tp]))[tp])
        return ends[0] == ends[1] > 0

    async def group(self) -> dict[TopicPartition, int]:
        offsets = await self.admin.list_consumer_group_offsets(self.name)
        return {tp: at.offset for tp, at in offsets.items()}


@pytest.fixture
async def lab(bootstrap: str) -> AsyncIterator[Lab]:
    lab = Lab(bootstrap)
    await lab.begin()
    yield lab
    await lab.end()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once *condition* holds; the broker tells nobody when it does."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)


async def test_a_commit_tells_the_offset_behind_the_last_record_of_each_topic(lab):
    transactor = await lab.transactor()
    first = [lab.record(b"a"), lab.record(b"b"), lab.record(b"c", partition=1)]
    assert await transactor.commit(first, {}) == Committed(
        next_offsets={
            TopicPartition(lab.out, 0): 2,
            TopicPartition(lab.out, 1): 1,
        }
    )
    second = await transactor.commit([lab.record(b"d"), lab.record(b"e")], {})
    seen = await lab.read()
    assert seen == [(0, b"a"), (1, b"b"), (3, b"d"), (4, b"e")]  # 2 is a marker
    assert second == Committed(next_offsets={TopicPartition(lab.out, 0): 5})


async def test_a_producer_whose_coordinator_went_away_must_be_renewed_first(lab):
    transactor = await lab.transactor()
    await transactor.commit([lab.record(b"a")], {})
    assert not transactor.lost_touch
    transactor._link.close()  # noqa: SLF001 - as a broker does that ends
    assert transactor.lost_touch
    outcome = await transactor.commit([lab.record(b"b")], {})
    assert isinstance(outcome, NotCommitted)
    assert isinstance(outcome.error, ReconnectedError)
    await transactor.renew()
    assert isinstance(await transactor.commit([lab.record(b"b")], {}), Committed)
    assert [value for _, value in await lab.read()] == [b"a", b"b"]


async def test_offsets_are_committed_with_the_records(lab):
    transactor = await lab.transactor()
    at = TopicPartition(lab.out, 1)
    await transactor.commit([lab.record(b"a")], {at: 41})
    await transactor.renew()  # offsets read right after a commit can be stale
    assert await lab.group() == {at: 41}
    assert isinstance(await transactor.commit([], {at: 42}), Committed)


async def test_one_topics_records_keep_their_order_over_many_batches(lab):
    transactor = await lab.transactor()
    values = [b"%06d" % n + b"." * 994 for n in range(1_000)]
    assert len(values) * len(values[0]) > 3 * BATCH_BYTES
    records = [lab.record(value, partition=n % 2) for n, value in enumerate(values)]
    outcome = await transactor.commit(records, {})
    for partition in (0, 1):
        seen = await lab.read(partition=partition)
        assert [value for _, value in seen] == values[partition::2]
        behind = outcome.next_offsets[TopicPartition(lab.out, partition)]
        assert seen[-1][0] + 1 == behind


async def test_a_record_larger_than_a_batch_travels_alone(lab):
    transactor = await lab.transactor()
    values = [b"before", b"x" * (2 * BATCH_BYTES), b"behind"]
    await transactor.commit([lab.record(value) for value in values], {})
    assert [value for _, value in await lab.read()] == values


async def test_a_record_too_large_for_its_topic_is_to_blame_and_nothing_is_in(lab):
    transactor = await lab.transactor()
    large = lab.record(b"x" * (2 * SMALL_BYTES), topic=lab.strict)
    at = TopicPartition(lab.out, 1)
    outcome = await transactor.commit([lab.record(b"good"), large], {at: 7})
    assert isinstance(outcome, NotCommitted)
    assert isinstance(outcome.error, MessageSizeTooLargeError)
    assert outcome.topic == lab.strict
    assert outcome.records_fault
    await transactor.renew()
    assert isinstance(await transactor.commit([lab.record(b"next")], {}), Committed)
    assert [value for _, value in await lab.read()] == [b"next"]
    assert await lab.read(lab.strict) == []
    assert at not in await lab.group()


async def test_a_record_that_the_client_refuses_is_to_blame_as_well(lab):
    transactor = await lab.transactor()
    outcome = await transactor.commit([lab.record(b"x" * 5_000_000)], {})
    assert isinstance(outcome, NotCommitted)
    assert outcome.records_fault
    assert outcome.topic == lab.out


async def test_a_missing_topic_is_not_the_records_fault_and_is_told_in_time(lab):
    transactor = await lab.transactor()
    record = lab.record(b"a", topic=f"{lab.name}.nowhere")
    async with asyncio.timeout(TRANSACTION_S + COMMIT_S):
        outcome = await transactor.commit([record], {})
    assert isinstance(outcome, NotCommitted)
    assert not outcome.records_fault


async def test_the_later_producer_fences_the_former(lab):
    former = await lab.transactor()
    await former.commit([lab.record(b"former")], {})
    later = await lab.transactor()
    outcome = await former.commit([lab.record(b"zombie")], {})
    assert isinstance(outcome, Fenced)
    assert isinstance(await later.commit([lab.record(b"later")], {}), Committed)
    assert [value for _, value in await lab.read()] == [b"former", b"later"]


class Interrupted(Transactor):
    """Something happens between a transaction's last record and its end."""

    between: Callable[[], Awaitable[object]]

    async def _fill(self, *args: Any) -> Any:
        filled = await super()._fill(*args)
        await self.between()
        return filled


async def test_a_producer_fenced_inside_its_transaction_learns_it_at_the_end(lab):
    former = await lab.transactor(Interrupted)
    former.between = lab.transactor
    assert isinstance(await former.commit([lab.record(b"zombie")], {}), Fenced)
    assert await lab.read() == []


async def test_a_transaction_that_outlives_its_timeout_looks_fenced(lab):
    transactor = await lab.transactor(Interrupted)
    transactor.between = lambda: eventually(lab.nothing_open)
    assert isinstance(await transactor.commit([lab.record(b"late")], {}), Fenced)
    assert await lab.read() == []


def losing(
    transactor: Transactor, *, request: bool, kind: type = EndTxnRequest
) -> None:
    """Lose the replies to one kind of request, or even the requests."""
    client = transactor._producer.client  # noqa: SLF001
    send = client.send

    async def lossy(node: int, sent: Any, **options: Any) -> Any:
        lost = isinstance(sent, kind)
        if lost and request:
            await asyncio.Event().wait()
        answer = await send(node, sent, **options)
        if lost:
            await asyncio.Event().wait()
        return answer

    client.send = lossy


async def test_without_a_reply_before_its_end_a_commit_is_surely_not_in(lab):
    transactor = await lab.transactor()
    losing(transactor, request=False, kind=AddPartitionsToTxnRequest)
    async with asyncio.timeout(TRANSACTION_S):
        outcome = await transactor.commit([lab.record(b"a")], {})
    assert isinstance(outcome, NotCommitted)
    assert not outcome.records_fault
    await transactor.renew()
    assert isinstance(await transactor.commit([lab.record(b"b")], {}), Committed)
    assert [value for _, value in await lab.read()] == [b"b"]


@pytest.mark.parametrize(("request_", "seen"), [(False, [b"a", b"b"]), (True, [b"b"])])
async def test_without_a_reply_to_its_end_a_commit_is_in_doubt(lab, request_, seen):
    transactor = await lab.transactor()
    losing(transactor, request=request_)
    async with asyncio.timeout(2 * COMMIT_S):
        outcome = await transactor.commit([lab.record(b"a")], {})
    assert isinstance(outcome, InDoubt)
    await transactor.renew()
    assert isinstance(await transactor.commit([lab.record(b"b")], {}), Committed)
    assert [value for _, value in await lab.read()] == seen


async def test_renewing_ends_the_transaction_that_a_rival_left_open(lab):
    rival = await lab.transactor()
    losing(rival, request=True)
    assert isinstance(await rival.commit([lab.record(b"open")], {}), InDoubt)
    assert not await lab.nothing_open()
    await lab.transactor()
    assert await lab.nothing_open()
    assert await lab.read() == []
