"""Markers that a broker loses, and what they would decide if nobody wrote them.

A broker that does not verify partitions (KIP-890 has a switch) lets a test write to a
partition that its transaction does not know: that one never gets a marker.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from agents import lost_markers
from agents.broker import BrokerOptions, DevBroker
from agents.lost_markers import LostMarkers, StillOpenError
from agents.transactions import Committed, Outgoing, Transactor
from tests.agents.committed import read_committed

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def lax(kafka) -> Iterator[str]:
    """A broker that believes whatever a producer says of its transaction."""
    lax = {"transaction.partition.verification.enable": "false"}
    with DevBroker.start(kafka, BrokerOptions(properties=lax)) as broker:
        yield broker.bootstrap


@dataclass
class Task:
    """One task's transactional id, and the topics that it writes."""

    bootstrap: str
    name: str
    found: list[int] = field(default_factory=list)
    started: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = TopicPartition(f"{self.name}.state", 0)
        self.results = TopicPartition(f"{self.name}.results", 0)
        self.requests = TopicPartition(f"{self.name}.requests", 1)
        self.markers = LostMarkers(
            state=[self.state.topic],
            outputs=[self.results.topic],
            shared=[self.requests.topic],
            partitions=2,
            found=self.found.append,
        )

    async def producer(self, name: str = "") -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, transactional_id=name or self.name
        )
        await producer.start()
        self.started.append(producer)
        return producer

    def owner(self, markers: LostMarkers | None = None) -> Transactor:
        owner = Transactor(
            self.bootstrap,
            self.name,
            group=self.name,
            commit_timeout_s=5,
            transaction_timeout_s=10,
            markers=self.markers if markers is None else markers,
        )
        self.started.append(owner)
        return owner

    async def open(self, *losing: TopicPartition) -> Any:
        """Begin a transaction that will have no marker in *losing*."""
        producer = await self.producer()
        await producer.begin_transaction()
        for tp in {self.state: None} | dict.fromkeys(losing):
            if tp in losing:
                producer._txn_manager._txn_partitions.add(tp)  # noqa: SLF001
            await producer.send_and_wait(tp.topic, b"old", partition=tp.partition)
        return producer

    async def read(self, tp: TopicPartition) -> list[bytes]:
        """Return what readers of committed records see once nothing is open."""
        return [value for _, value in await read_committed(self.bootstrap, tp)]

    def record(self, tp: TopicPartition) -> Outgoing:
        return Outgoing(topic=tp.topic, partition=tp.partition, key=None, value=b"new")


@pytest.fixture
async def task(lax) -> AsyncIterator[Task]:
    task = Task(lax, f"markers{next(NUMBERS)}")
    admin = AIOKafkaAdminClient(bootstrap_servers=lax)
    await admin.start()
    tps = (task.state, task.results, task.requests)
    await admin.create_topics([NewTopic(tp.topic, 2, 1) for tp in tps])
    await admin.close()
    async with AIOKafkaConsumer(bootstrap_servers=lax) as reader:
        # A topic is there before its partitions have leaders, on a busy machine.
        each = [TopicPartition(tp.topic, p) for tp in tps for p in range(2)]
        await reader.end_offsets(each)
    yield task
    for each in task.started:
        await (each.close() if isinstance(each, Transactor) else each.stop())


async def test_kafka_lets_the_next_transaction_decide_what_has_no_marker(task):
    """What all this is about: what was aborted is published."""
    producer = await task.open(task.results)
    await producer.abort_transaction()
    owner = task.owner(LostMarkers())
    await owner.renew()
    assert isinstance(await owner.commit([task.record(task.results)], {}), Committed)
    assert await task.read(task.results) == [b"old", b"new"]


async def test_what_was_committed_is_published_before_anything_else(task):
    producer = await task.open(task.results)
    await producer.commit_transaction()
    await task.owner().renew()
    assert await task.read(task.results) == await task.read(task.state) == [b"old"]
    assert task.found == [1]


async def test_what_was_aborted_never_comes(task):
    producer = await task.open(task.results)
    await producer.abort_transaction()
    owner = task.owner()
    await owner.renew()
    assert await task.read(task.results) == []
    await owner.commit([task.record(task.results)], {})
    assert await task.read(task.results) == [b"new"]


async def test_what_was_not_decided_is_aborted(task):
    await task.open(task.results)
    await task.owner().renew()
    assert await task.read(task.results) == await task.read(task.state) == []


async def test_the_state_may_have_lost_its_marker_too(task):
    producer = await task.open(task.state, task.results)
    # A transaction without a partition is not even ended.
    await producer.send_and_wait(task.requests.topic, b"other", partition=1)
    await producer.commit_transaction()
    await task.owner().renew()
    assert await task.read(task.state) == await task.read(task.results) == [b"old"]
    assert task.found == [2]


async def test_records_in_topics_that_all_write_are_ended_as_well(task):
    producer = await task.open(task.requests)
    await producer.commit_transaction()
    await task.owner().renew()
    assert await task.read(task.requests) == [b"old"]


async def test_a_decision_outlives_a_renewal_that_failed_half_way(task, monkeypatch):
    producer = await task.open(task.results)
    await producer.commit_transaction()

    async def fails(*_: object) -> None:
        raise KafkaError

    with monkeypatch.context() as patch:
        patch.setattr(lost_markers, "left_open", fails)
        with pytest.raises(KafkaError):
            await task.owner().renew()
    await task.owner().renew()
    assert await task.read(task.results) == [b"old"]


async def test_a_topic_that_is_gone_holds_nobody_up(task):
    producer = await task.open(task.results)
    await producer.commit_transaction()
    gone = LostMarkers(outputs=[task.results.topic, f"{task.name}.gone"])
    await task.owner(gone).renew()
    assert await task.read(task.results) == [b"old"]


async def test_nothing_is_written_where_nothing_is_open(task):
    producer = await task.open()
    await producer.commit_transaction()
    await task.owner().renew()
    await task.owner().renew()
    assert task.found == []
    async with AIOKafkaConsumer(bootstrap_servers=task.bootstrap) as reader:
        assert await reader.end_offsets([task.state]) == {task.state: 2}  # one marker


async def test_a_transaction_of_somebody_else_is_theirs_to_end(task):
    other = await task.producer(f"{task.name}-other")
    await other.begin_transaction()
    await other.send_and_wait(task.requests.topic, b"theirs", partition=1)
    await task.owner().renew()
    assert task.found == []
    await other.commit_transaction()
    assert await task.read(task.requests) == [b"theirs"]


async def test_a_state_that_somebody_else_keeps_open_is_said_with_its_cure(
    task, monkeypatch
):
    monkeypatch.setattr(lost_markers, "LOOKS", 3)
    other = await task.producer(f"{task.name}-other")
    await other.begin_transaction()
    await other.send_and_wait(task.state.topic, b"theirs", partition=0)
    with pytest.raises(StillOpenError, match=r"state\[0\].*kafka-transactions.sh"):
        await task.owner().renew()
    await other.abort_transaction()
    await task.owner().renew()
