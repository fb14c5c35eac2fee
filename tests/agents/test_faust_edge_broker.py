"""Faust's edge on a real broker: what only Faust, aiokafka and Kafka together show."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from agents.faust_edge import EdgeApp, EdgeSchema
from agents.lease import Lease, renew_with
from streams.clock import SystemClock
from tests.agents.test_fetched_records import GARBLED

NUMBERS = itertools.count(1)
PARTITIONS = 2
TABLE = "memory"


async def until(condition: Callable[[], object], *, within_s: float = 15) -> None:
    """Return once *condition* holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - Faust has no event for most of it
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
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Closed while agents keep the record in hand."""
    positions: dict[int, int] = field(default_factory=dict)
    """Where the tasks have to go on; moves with what is taken."""
    on_drain: Callable[[], None] = lambda: None
    lease: Lease = field(default_factory=lambda: Lease(SystemClock(), 6))

    def __post_init__(self) -> None:
        self.gate.set()

    def source_topics(self) -> frozenset[str]:
        return frozenset({self.topic})

    def joining(self, coordinator: object) -> None:
        renew_with(coordinator, self.lease, self.source_topics(), SystemClock())

    async def assign(self, partitions: set[int], current: Callable[[], bool]) -> None:
        assert current()
        self.assignments.append(partitions)
        for partition in partitions:
            self.positions.setdefault(partition, 0)

    def resume_at(self) -> Mapping[TopicPartition, int]:
        return {TopicPartition(self.topic, p): at for p, at in self.positions.items()}

    def resumed(self) -> None:
        self.resumes += 1

    def govern(self) -> None:
        """Nothing is ever paused."""

    async def drain(self) -> None:
        self.on_drain()
        self.events.append("drained")

    async def leave(self, member_id: str) -> None:
        """Left to aiokafka."""

    def fatal(self, error: BaseException) -> None:
        self.failures.append(error)

    def read(self, table: str, partition: int, key: bytes) -> bytes | None:
        return None

    def local_partitions(self) -> Iterable[int]:
        return sorted(self.positions)

    def take(self, record: Any) -> None:
        """Take a record, once, as a task does."""
        if record.offset >= self.positions[record.partition]:
            self.positions[record.partition] = record.offset + 1
            self.taken.setdefault(record.partition, []).append(record.offset)
            self.values.append(record.value)


class Edges:
    """Starts apps of one group; they end with the test."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.group = f"edge{os.getpid()}-{next(NUMBERS)}"
        self.topic = f"{self.group}.in"
        self.started: list[EdgeApp] = []
        self.producer: Any = None
        self.admin: Any = None

    async def begin(self) -> None:
        self.admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await self.admin.start()
        names = (self.topic, f"{self.group}-{TABLE}-changelog")
        await self.admin.create_topics([NewTopic(n, PARTITIONS, 1) for n in names])
        self.producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await self.producer.start()

    async def end(self) -> None:
        await self.producer.stop()
        await self.admin.close()
        await asyncio.gather(*(app.stop() for app in self.started))

    def app(self, edge: ListEdge, **options: Any) -> EdgeApp:
        app = EdgeApp(
            self.group,
            edge=edge,
            broker=f"kafka://{self.bootstrap}",
            store="memory://",
            datadir=str(self.folder),
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
        topic = app.topic(self.topic, schema=EdgeSchema())
        app.Table(TABLE, key_type=bytes, value_type=bytes, partitions=PARTITIONS)

        async def take(stream: Any) -> None:
            async for bundle in stream:
                for record in bundle:
                    edge.take(record)
                await edge.gate.wait()

        app.agent(topic, name="take")(take)
        return app

    async def start(self, app: EdgeApp) -> EdgeApp:
        self.started.append(app)
        await app.start()
        return app

    async def ready(self, edge: ListEdge, **options: Any) -> EdgeApp:
        """Start an app; return once it reads."""
        app = await self.start(self.app(edge, **options))
        await until(lambda: edge.resumes and app.consumer.flow_active)
        return app

    async def stop(self, app: EdgeApp) -> None:
        self.started.remove(app)
        async with asyncio.timeout(15):
            await app.stop()

    async def send(self, *values: bytes, partition: int = 0) -> None:
        for value in values:
            await self.producer.send_and_wait(self.topic, value, partition=partition)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, transactional_id=f"{self.group}-0"
        )
        await producer.start()
        await producer.begin_transaction()
        yield producer
        await producer.stop()

    async def commit(self, offset: int) -> None:
        """Commit *offset* of the first partition, in a transaction."""
        async with self.transaction() as producer:
            at = {TopicPartition(self.topic, 0): offset}
            await producer.send_offsets_to_transaction(at, self.group)
            await producer.commit_transaction()
        # Offsets read right after a commit can be stale, but not after InitProducerId.
        async with self.transaction():
            pass

    async def committed(self) -> dict[TopicPartition, int]:
        offsets = await self.admin.list_consumer_group_offsets(self.group)
        return {tp: at.offset for tp, at in offsets.items() if at.offset >= 0}

    async def members(self) -> int:
        [group] = await self.admin.describe_consumer_groups([self.group])
        return len(group.to_object()["groups"][0]["members"])


@pytest.fixture
async def edges(bootstrap: str, tmp_path: Path) -> AsyncIterator[Edges]:
    edges = Edges(bootstrap, tmp_path)
    await edges.begin()
    yield edges
    await edges.end()


@pytest.fixture
def edge(edges: Edges) -> ListEdge:
    return ListEdge(edges.topic)


async def test_offsets_of_the_group_come_from_transactions_only(edges, edge):
    app = await edges.ready(edge)
    await edges.send(*[b"v"] * 5)
    await until(lambda: len(edge.values) == 5)
    await app.consumer.commit()  # Faust's timer does, all the time
    assert await edges.committed() == {}
    await edges.commit(3)
    await edges.stop(app)  # it would commit here too
    assert await edges.committed() == {TopicPartition(edges.topic, 0): 3}


async def test_requests_of_an_aborted_transaction_are_not_taken(edges, edge):
    async with edges.transaction() as producer:
        await producer.send_and_wait(edges.topic, b"aborted", partition=0)
        await producer.abort_transaction()
    await edges.send(b"plain")
    await edges.ready(edge)
    await until(lambda: b"plain" in edge.values)
    assert edge.values == [b"plain"]


async def test_a_garbled_header_name_is_taken_too(edges, edge):
    made = edges.producer.create_batch()
    made._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 65_536)  # noqa: SLF001
    made.append(key=None, value=b"odd", timestamp=None, headers=[(GARBLED, b"")])
    await (await edges.producer.send_batch(made, edges.topic, partition=0))
    await edges.send(b"even")
    await edges.ready(edge)
    await until(lambda: len(edge.values) == 2)
    assert edge.values == [b"odd", b"even"]


async def test_reading_begins_where_the_tasks_say_not_where_the_group_does(edges, edge):
    await edges.send(b"0", b"1", b"2", b"3")
    await edges.commit(3)
    edge.positions = {0: 1, 1: 0}
    await edges.ready(edge)
    await until(lambda: b"3" in edge.values)
    assert edge.taken == {0: [1, 2, 3]}


async def test_what_the_group_gave_is_surely_ours_and_each_heartbeat_says_so(
    edges, edge
):
    await edges.ready(edge)
    assert [p for p in range(PARTITIONS + 1) if edge.lease.holds(p)] == [0, 1]
    edge.lease.over()
    assert not edge.lease.holds(0)
    await until(lambda: edge.lease.holds(0))


async def test_a_rejoin_brings_a_new_assignment(edges, edge):
    app = await edges.ready(edge)
    app.rejoin()
    await until(lambda: len(edge.assignments) == 2)
    assert edge.assignments == [{0, 1}] * 2


async def test_a_fetch_that_sleeps_through_a_rebalance_loses_nothing(edges, edge):
    app = await edges.ready(edge)
    for number in range(3):
        app.rejoin()
        await until(lambda n=number: len(edge.assignments) == n + 2)
        await until(lambda: app.consumer.flow_active)
        await edges.send(b"first since then")
        await until(lambda n=number: len(edge.values) == n + 1)


async def test_a_rebalance_waits_for_nobody_and_drains_nothing(edges, edge):
    edge.gate.clear()
    await edges.ready(edge)
    await edges.send(b"in hand")
    await until(lambda: edge.values)
    other = ListEdge(edges.topic)
    await edges.ready(other)
    assert edge.assignments[-1] | other.assignments[-1] == {0, 1}
    assert edge.events == []
    edge.gate.set()


async def test_a_stop_drains_before_tables_stop_and_waits_for_no_agent(edges, edge):
    edge.gate.clear()
    app = await edges.ready(edge)
    await edges.send(b"in hand")
    await until(lambda: edge.values)
    seen = {}

    def look() -> None:
        seen["tables run"] = not app.tables.should_stop
        seen["members"] = app.consumer.assignment() != set()
        seen["flow"] = app.consumer.flow_active

    edge.on_drain = look
    await edges.stop(app)
    assert edge.events == ["drained"]
    assert seen == {"tables run": True, "members": True, "flow": False}


@pytest.mark.parametrize(("instance", "members"), [("worker-0", 1), (None, 0)])
async def test_only_a_static_member_stays_in_the_group(edges, edge, instance, members):
    app = await edges.ready(edge, consumer_group_instance_id=instance)
    assert await edges.members() == 1
    await edges.stop(app)
    assert await edges.members() == members


async def test_faust_reads_no_changelog_back(edges, edge):
    changelog = f"{edges.group}-{TABLE}-changelog"
    for partition in range(PARTITIONS):
        await edges.producer.send_and_wait(changelog, b"v", b"k", partition)
    app = await edges.ready(edge)
    await edges.send(b"request")
    await until(lambda: edge.values)
    assert edge.failures == []
    assert app.tables.changelog_queue.empty()
    assert len(app.tables[TABLE]) == 0
