"""Faust's edge on a real broker: what only Faust, aiokafka and Kafka together show."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.faust_edge import EdgeApp

NUMBERS = itertools.count(1)
PARTITIONS = 2
TABLE = "memory"


async def until(condition: Callable[[], object], *, within_s: float = 15) -> None:
    """Return once *condition* holds."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


@dataclass
class ListEdge:
    """An edge whose tasks are lists: what was taken of each source partition."""

    topic: str
    taken: dict[int, list[int]] = field(default_factory=dict)
    values: list[bytes] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    assignments: list[set[int]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    resumes: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    """Where the tasks have to go on; moves with what is taken."""

    def source_topics(self) -> frozenset[str]:
        return frozenset({self.topic})

    async def assign(self, partitions: set[int], current: Callable[[], bool]) -> None:
        assert current()
        self.assignments.append(partitions)
        for partition in partitions:
            self.positions.setdefault(partition, 0)

    def resume_at(self) -> Mapping[TopicPartition, int]:
        return {TopicPartition(self.topic, p): at for p, at in self.positions.items()}

    def resumed(self) -> None:
        self.resumes += 1

    async def drain(self) -> None:
        self.events.append("drained")

    def fatal(self, error: BaseException) -> None:
        self.failures.append(error)

    def read(self, table: str, partition: int, key: bytes) -> bytes | None:
        return None

    def local_partitions(self) -> Iterable[int]:
        return sorted(self.positions)

    def take(self, message: Any) -> None:
        """Take a record, once, as a task does."""
        if message.offset >= self.positions[message.partition]:
            self.positions[message.partition] = message.offset + 1
            self.taken.setdefault(message.partition, []).append(message.offset)
            self.values.append(message.value)


class Edges:
    """Starts apps of one group; they end with the test."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.group = f"edge{os.getpid()}-{next(NUMBERS)}"
        self.topic = f"{self.group}.in"
        self.started: list[EdgeApp] = []
        self.producer: Any = None

    async def begin(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        names = (self.topic, f"{self.group}-{TABLE}-changelog")
        await admin.create_topics([NewTopic(n, PARTITIONS, 1) for n in names])
        await admin.close()
        self.producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await self.producer.start()

    async def end(self) -> None:
        await self.producer.stop()
        for app in self.started:
            await app.stop()

    def app(self, edge: ListEdge, **options: Any) -> EdgeApp:
        app = EdgeApp(
            self.group,
            edge=edge,
            broker=f"kafka://{self.bootstrap}",
            store="memory://",
            autodiscover=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=6.0,
            broker_heartbeat_interval=0.2,
            broker_commit_interval=0.2,
            web_enabled=False,
            worker_redirect_stdouts=False,
            **options,
        )
        topic = app.topic(
            self.topic, value_serializer="raw", key_serializer="raw", allow_empty=True
        )
        app.Table(TABLE, key_type=bytes, value_type=bytes, partitions=PARTITIONS)

        async def take(stream: Any) -> None:
            async for event in stream.events():
                edge.take(event.message)

        app.agent(topic, name="take")(take)
        return app

    async def start(self, app: EdgeApp) -> EdgeApp:
        self.started.append(app)
        await app.start()
        return app

    async def send(self, *values: bytes, partition: int = 0) -> None:
        for value in values:
            await self.producer.send_and_wait(self.topic, value, partition=partition)


@pytest.fixture
async def edges(bootstrap: str) -> AsyncIterator[Edges]:
    edges = Edges(bootstrap)
    await edges.begin()
    yield edges
    await edges.end()


async def test_no_record_is_lost_to_a_fetch_that_spans_a_rebalance(edges):
    t0 = time.perf_counter()
    edge = ListEdge(edges.topic)
    app = await edges.start(edges.app(edge))
    print("started", time.perf_counter() - t0)
    await until(lambda: edge.resumes == 1)
    print("resumed", time.perf_counter() - t0)
    for n in range(1, 6):
        app.rejoin()
        await until(lambda: edge.resumes == n + 1 and app.consumer.flow_active)
        print("again", time.perf_counter() - t0)
        await edges.send(b"%d" % n)
        await asyncio.sleep(1.5)
        print(edge.taken)
    print("ending", time.perf_counter() - t0)
