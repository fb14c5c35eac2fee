"""Faust's edge without a broker: each override keeps the rule it was made for."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import isawaitable
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from faust.transport.consumer import ConsumerThread
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents import faust_edge
from agents.faust_edge import (
    EdgeApp,
    EdgeConsumer,
    EdgeRecovery,
    EdgeSchema,
    EdgeStore,
    EdgeThread,
    ReadOnlyTableError,
)
from tests.agents.strays import cancelled_by_nobody
from tests.agents.test_edge_fakes import turns, until

IN, CHANGELOG = "in", "edge-memory-changelog"
HERE, THERE, STATE = TP(IN, 0), TP(IN, 1), TP(CHANGELOG, 0)


@dataclass
class FakeEdge:
    """Tasks that exist on paper: where they are, and what they hold."""

    at: dict[TopicPartition, int] = field(default_factory=dict)
    stored: dict[tuple[str, int, bytes], bytes] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    assigned: list[set[int]] = field(default_factory=list)
    current: list[Callable[[], bool]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    broken: BaseException | None = None
    on_govern: Callable[[], None] = lambda: None

    def source_topics(self) -> frozenset[str]:
        return frozenset({IN})

    def joining(self, coordinator: object) -> None:
        """What the group says is of no interest here."""

    async def assign(self, partitions: set[int], current: Callable[[], bool]) -> None:
        self.assigned.append(partitions)
        self.current.append(current)
        if self.broken is not None:
            raise self.broken
        await self.ready.wait()

    def resume_at(self) -> Mapping[TopicPartition, int]:
        return self.at

    def resumed(self) -> None:
        self.events.append("resumed")

    def govern(self) -> None:
        self.on_govern()

    async def drain(self) -> None:
        self.events.append("drained")

    async def leave(self, member_id: str) -> None:
        self.events.append(f"{member_id} left")

    def fatal(self, error: BaseException) -> None:
        self.failures.append(error)

    def read(self, table: str, partition: int, key: bytes) -> bytes | None:
        return self.stored.get((table, partition, key))

    def local_partitions(self) -> Iterable[int]:
        return (0, 1)


def fetched(tp: TP, offset: int) -> ConsumerRecord:
    value = b"%d" % offset
    return ConsumerRecord(*tp, offset, 1_000, 0, None, value, None, -1, 1, ())


class FakeKafkaConsumer:
    """aiokafka's consumer: a log, and positions that move on with what is fetched."""

    _closed = False
    _max_poll_records = None

    def __init__(self) -> None:
        self._fetcher = self._subscriptions = self
        self.positions: dict[TP, int] = {}
        self.ends: dict[TP, int] = {}
        self.fetches = 0
        self._arrived = asyncio.Event()

    def append(self, tp: TP, number: int = 1) -> None:
        self.ends[tp] += number
        self._arrived.set()

    def assignment(self) -> set[TP]:
        return set(self.positions)

    def seek(self, tp: TP, offset: int) -> None:
        assert tp in self.positions
        self.positions[tp] = offset
        self._arrived.set()

    async def position(self, tp: TP) -> int:
        await asyncio.sleep(0)
        return self.positions[tp]

    @contextlib.contextmanager
    def fetch_context(self) -> Iterator[None]:
        yield

    async def fetched_records(self, tps: set[TP], *_: object, **__: object) -> dict:
        self.fetches += 1
        while not (drained := self._drain(tps)):
            self._arrived.clear()
            await self._arrived.wait()
        return drained

    def _drain(self, tps: set[TP]) -> dict[TP, list[ConsumerRecord]]:
        drained = {}
        for tp, at in self.positions.items():
            if at < self.ends[tp] and (tp in tps or not tps):
                drained[tp] = [
                    fetched(tp, offset) for offset in range(at, self.ends[tp])
                ]
                self.positions[tp] = self.ends[tp]
        return drained


async def directly(function: Callable[..., Any], *args: object, **options: object):
    """Stand in for the hop into the consumer's thread."""
    await asyncio.sleep(0)
    return await function(*args, **options)


def app_on(edge: FakeEdge) -> EdgeApp:
    return EdgeApp(
        "edge",
        edge=edge,
        broker="kafka://127.0.0.1:9",
        store="memory://",
        autodiscover=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )


NewApp = Callable[[FakeEdge], EdgeApp]


@pytest.fixture
def new_app() -> Iterator[NewApp]:
    """Make apps that are never started; Faust would leave their loops open."""
    made: list[EdgeApp] = []

    def new(edge: FakeEdge) -> EdgeApp:
        made.append(app_on(edge))
        return made[-1]

    yield new
    for app in made:
        if app._consumer is not None:  # noqa: SLF001
            app.consumer._thread.thread_loop.close()  # noqa: SLF001


class Reading:
    """Faust's consumer on a fake one, handing its records to a list."""

    def __init__(self, app: EdgeApp, *tps: TP) -> None:
        self.app = app
        self.edge: FakeEdge = app.edge
        self.kafka = FakeKafkaConsumer()
        self.consumer: EdgeConsumer = self.app.consumer
        self.consumer._thread._consumer = self.kafka  # noqa: SLF001
        self.consumer._thread.call_thread = directly  # noqa: SLF001
        self.consumer.callback = self._take
        self.assign(*tps)
        self.taken: list[tuple[str, int, int]] = []
        self.bundles: list[int] = []
        self.on_take: dict[int, Callable[[], Any]] = {}
        """What happens once a bundle that ends with this offset is taken."""

    def assign(self, *tps: TP) -> None:
        """Have *tps* as well, sought at their beginning."""
        self.kafka.positions |= dict.fromkeys(tps, 0)
        self.kafka.ends |= dict.fromkeys(tps, 0)
        self.consumer._set_active_tps(set(self.kafka.positions))  # noqa: SLF001
        self.consumer._sought = frozenset(self.kafka.positions)  # noqa: SLF001

    async def _take(self, message: Any) -> None:
        self.bundles.append(len(message.value))
        for record in message.value:
            self.taken.append((record.topic, record.partition, record.offset))
        self.edge.at[message.tp] = message.offset + 1
        await asyncio.sleep(0)
        done = self.on_take.pop(message.offset, lambda: None)()
        if isawaitable(done):
            await done

    @property
    def offsets(self) -> list[int]:
        return [offset for topic, _, offset in self.taken if topic == IN]

    async def seek_and_resume(self) -> None:
        """Do what Faust does at the end of a rebalance."""
        await self.consumer.perform_seek()
        self.consumer.resume_flow()

    @contextlib.asynccontextmanager
    async def draining(self) -> Any:
        fetcher = SimpleNamespace(_stopped=asyncio.Event())
        drain = asyncio.create_task(self.consumer._drain_messages(fetcher))  # noqa: SLF001
        yield drain
        drain.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drain


@pytest.fixture
async def reading(new_app: NewApp, monkeypatch: pytest.MonkeyPatch) -> Reading:
    """Read in bundles of one, so that things happen between any two records."""
    monkeypatch.setattr(faust_edge, "BUNDLE", 1)
    return Reading(new_app(FakeEdge()), HERE, STATE)


def message(consumer: EdgeConsumer, offset: int) -> Any:
    return consumer._to_message(HERE, fetched(HERE, offset))  # noqa: SLF001


# Acks and commits.


async def test_an_ack_forgets_the_message_even_one_that_came_again(reading):
    consumer = reading.consumer
    reading.app.topics.acks_enabled_for = lambda _: True
    first, again = message(consumer, 5), message(consumer, 5)
    for each in (first, again):
        consumer.track_message(each)
        assert consumer.ack(each)
        assert not consumer.ack(each)
    assert not consumer.unacked
    assert not consumer._acked[HERE]  # noqa: SLF001 - it would grow for ever


@pytest.mark.parametrize("commit", ["commit", "force_commit"])
async def test_faust_never_commits_an_offset_whatever_it_knows(reading, commit):
    committed = []

    async def remember(offsets: object) -> bool:
        committed.append(offsets)
        return True

    consumer = reading.consumer
    consumer._commit = remember  # noqa: SLF001
    consumer._acked[HERE].append(0)  # noqa: SLF001
    reading.app.producer.flush = lambda: asyncio.sleep(0)
    assert await getattr(consumer, commit)() is False
    assert not committed


async def test_nothing_waits_for_messages_in_an_agents_hands(reading):
    held = message(reading.consumer, 0)
    reading.consumer.track_message(held)
    waiting = asyncio.create_task(reading.consumer.wait_empty())
    await turns()
    was_done = waiting.done()
    reading.consumer.ack(held)  # Faust's would swallow a cancellation
    await waiting
    assert was_done


async def test_a_rebalance_waits_for_nobody(reading):
    class Busy:
        async def wait_empty(self) -> None:
            await asyncio.Event().wait()

    async with asyncio.timeout(1):
        await reading.app._consumer_wait_empty(Busy(), None)  # noqa: SLF001


async def test_faust_does_not_watch_for_commits_that_are_not_its_own(reading):
    """It would log an error a partition every few seconds, for ever."""
    asked = []
    reading.consumer._thread.verify_event_path = lambda *tp: asked.append(tp)  # noqa: SLF001
    await reading.consumer.verify_all_partitions_active()
    reading.consumer.verify_event_path(0.0, HERE)
    assert not asked


# Handing on what was fetched.


async def test_all_that_was_fetched_is_handed_on_in_order(reading):
    reading.kafka.append(HERE, 3)
    async with reading.draining():
        await until(lambda: len(reading.offsets) == 3)
        reading.kafka.append(HERE, 2)
        await until(lambda: len(reading.offsets) == 5)
    assert reading.offsets == [0, 1, 2, 3, 4]


async def test_records_travel_in_bundles_partitions_in_turn(reading, monkeypatch):
    monkeypatch.setattr(faust_edge, "BUNDLE", 4)
    reading.assign(THERE)
    reading.kafka.append(HERE, 10)
    reading.kafka.append(THERE, 3)
    async with reading.draining():
        await until(lambda: len(reading.taken) == 13)
    assert reading.bundles == [4, 3, 4, 2]
    assert [offset for _, p, offset in reading.taken if p == 0] == list(range(10))
    assert [offset for _, p, offset in reading.taken if p == 1] == [0, 1, 2]


async def test_a_bundle_says_from_where_on_nothing_is_missing(reading):
    reading.edge.at = {HERE: 3}
    await reading.consumer.perform_seek()
    begins = [
        reading.consumer._bundle(HERE, records).value.begin  # noqa: SLF001
        for records in ([fetched(HERE, 5), fetched(HERE, 6)], [fetched(HERE, 9)])
    ]
    assert begins == [3, 7]  # offsets have gaps, bundles have none
    await reading.consumer.perform_seek()
    again = reading.consumer._bundle(HERE, [fetched(HERE, 5)])  # noqa: SLF001
    assert again.value.begin == 3


async def test_in_a_rebalance_nothing_counts_as_handed_on(reading):
    reading.edge.at = {HERE: 3}
    await reading.consumer.perform_seek()
    assert reading.consumer.handed_on() == {HERE: 3}
    reading.consumer.stop_flow()
    assert reading.consumer.handed_on() == {}


async def test_a_bundle_reaches_its_agent_as_it_is(reading):
    records = [fetched(HERE, 5), fetched(HERE, 6)]
    bundle = reading.consumer._bundle(HERE, records)  # noqa: SLF001
    assert (bundle.tp, bundle.offset) == (HERE, 6)
    event = await EdgeSchema().compile(reading.app)(bundle, propagate=True)
    assert event.value == records


async def test_backpressure_is_asked_before_each_fetch(reading):
    governed = []
    reading.edge.on_govern = lambda: governed.append(reading.kafka.fetches)
    async with reading.draining():
        await until(lambda: reading.kafka.fetches == 1)
        reading.kafka.append(HERE)
        await until(lambda: reading.kafka.fetches == 2)
    assert governed[:2] == [0, 1]


async def test_with_everything_paused_it_looks_again_soon(reading):
    reading.consumer.pause_partitions({HERE, STATE})
    reading.kafka.append(HERE)
    async with reading.draining():
        await turns()
        assert not reading.offsets
        reading.consumer.resume_partitions({HERE})
        async with asyncio.timeout(0.5):  # Faust would sleep for a second
            while not reading.offsets:  # noqa: ASYNC110 - its own timer is what counts
                await asyncio.sleep(0.01)


async def test_records_of_a_partition_paused_meanwhile_are_handed_on(reading):
    reading.kafka.append(HERE, 3)
    reading.on_take[0] = lambda: reading.consumer.pause_partitions({HERE})
    async with reading.draining():
        await until(lambda: reading.kafka.fetches == 1 and reading.offsets)
        await turns()
    assert reading.offsets == [0, 1, 2]


async def test_records_of_a_changelog_are_nobodys(reading):
    reading.kafka.append(STATE, 3)
    reading.kafka.append(HERE)
    async with reading.draining():
        await until(lambda: reading.taken)
        await turns()
    assert reading.taken == [(IN, 0, 0)]


async def test_records_fetched_before_a_stop_come_once_after_it(reading):
    reading.kafka.append(HERE, 4)
    reading.on_take[1] = reading.consumer.stop_flow
    async with reading.draining():
        await until(lambda: len(reading.offsets) == 2)
        await turns()
        assert reading.offsets == [0, 1]
        await reading.seek_and_resume()
        await until(lambda: len(reading.offsets) >= 4)
        await turns()
    assert reading.offsets == [0, 1, 2, 3]


async def test_a_stop_and_resume_between_two_records_is_noticed(reading):
    """The tasks may be others by then, and begin elsewhere."""
    reading.kafka.append(HERE, 4)

    async def rebalance() -> None:
        reading.consumer.stop_flow()
        reading.edge.at[HERE] = 1
        await reading.seek_and_resume()

    reading.on_take[1] = rebalance
    async with reading.draining():
        await until(lambda: reading.offsets and reading.offsets[-1] == 3)
        await turns()
    assert reading.offsets == [0, 1, 1, 2, 3]


async def test_a_fetch_that_sleeps_through_a_rebalance_loses_nothing(reading):
    async with reading.draining():
        await until(lambda: reading.kafka.fetches == 1)
        reading.consumer.stop_flow()
        reading.edge.at[HERE] = 0
        await reading.seek_and_resume()
        reading.kafka.append(HERE, 2)
        await until(lambda: reading.offsets)
        await turns()
    assert reading.kafka.fetches > 1
    assert reading.offsets == [0, 1]


async def test_what_was_fetched_while_stopped_comes_once(reading):
    """From before the seek, and from behind it."""
    async with reading.draining():
        await until(lambda: reading.kafka.fetches == 1)
        reading.consumer.stop_flow()
        reading.edge.at[HERE] = 0
        reading.kafka.append(HERE, 2)
        await turns()
        assert not reading.offsets
        await reading.seek_and_resume()
        await until(lambda: len(reading.offsets) == 2)
        await until(lambda: reading.kafka.fetches >= 3)
        reading.consumer.stop_flow()
        await reading.consumer.perform_seek()
        reading.kafka.append(HERE, 2)
        await turns()
        reading.consumer.resume_flow()
        await until(lambda: len(reading.offsets) == 4)
        await turns()
    assert reading.offsets == [0, 1, 2, 3]


async def test_a_stop_of_the_fetcher_ends_the_loop_after_its_fetch(reading):
    fetcher = SimpleNamespace(_stopped=asyncio.Event())
    reading.kafka.append(HERE)
    reading.on_take[0] = fetcher._stopped.set  # noqa: SLF001
    async with asyncio.timeout(1):
        await reading.consumer._drain_messages(fetcher)  # noqa: SLF001
    assert reading.offsets == [0]


async def test_reading_goes_on_where_the_tasks_say(reading):
    reading.edge.at = {HERE: 7, THERE: 9}
    await reading.consumer.perform_seek()
    assert reading.kafka.positions == {HERE: 7, STATE: 0}  # THERE is not ours


async def test_a_partition_is_not_fetched_before_its_task_says_where_to_begin(reading):
    reading.consumer._sought = frozenset({STATE})  # noqa: SLF001
    reading.kafka.append(HERE)
    async with reading.draining():
        await turns()
        assert reading.kafka.positions[HERE] == 0
        reading.kafka.append(HERE, 2)
        reading.edge.at = {HERE: 1}
        await reading.seek_and_resume()
        reading.kafka.append(STATE)  # ends the fetch that is under way
        await until(lambda: len(reading.offsets) == 2)
    assert reading.offsets == [1, 2]


async def test_with_no_place_to_read_at_all_nothing_is_fetched(reading):
    """Of no partitions, aiokafka makes all."""
    reading.consumer._sought = frozenset()  # noqa: SLF001
    reading.kafka.append(HERE)
    async with reading.draining():
        await turns()
    assert not reading.kafka.fetches


# Recovery.


class Resuming(EdgeRecovery):
    """Remembers for which generations the streams were resumed."""

    async def _resume_streams(self, generation_id: int = 0) -> None:
        self.resumes = [*getattr(self, "resumes", []), generation_id]


@pytest.fixture
async def recovery(reading) -> Any:
    reading.assign(THERE)
    recovery = Resuming(reading.app, reading.app.tables)
    loop = asyncio.create_task(EdgeRecovery._restart_recovery.fun(recovery))  # noqa: SLF001
    yield recovery
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop


async def rebalance(recovery: EdgeRecovery, generation: int) -> None:
    recovery.app.consumer_generation_id = generation
    await recovery.on_rebalance({HERE, THERE}, set(), set(), generation)


async def test_recovery_keeps_no_books_of_changelogs(reading):
    """Faust's own would, and begins by asking the stores for their offsets."""
    app = reading.app
    app.Table("memory", key_type=bytes, value_type=bytes, partitions=1)
    app.assignor.assigned_actives = lambda: {STATE}
    app.assignor.assigned_standbys = set
    await rebalance(app.tables.recovery, 1)
    assert not app.tables.recovery.tp_to_table


def test_none_of_fausts_own_recovery_loops_is_left(new_app):
    app = new_app(FakeEdge())
    recovery = app.tables.recovery
    assert type(recovery) is EdgeRecovery
    for task in recovery._get_tasks():  # noqa: SLF001
        assert task.fun.__qualname__.startswith("EdgeRecovery.")
    assert {t.fun.__name__ for t in recovery._get_tasks()} == {  # noqa: SLF001
        "_restart_recovery",
        "_slurp_changelogs",
        "_publish_stats",
    }


async def test_streams_resume_only_once_the_tasks_are_ready(recovery):
    edge = recovery.app.edge
    await rebalance(recovery, 1)
    await until(lambda: edge.assigned)
    assert edge.assigned == [{0, 1}]
    await turns()
    assert not hasattr(recovery, "resumes")
    edge.ready.set()
    await until(lambda: hasattr(recovery, "resumes"))
    assert recovery.resumes == [1]


async def test_what_stays_is_read_on_while_the_rest_is_opened(recovery):
    edge = recovery.app.edge
    edge.at = {HERE: 3}
    await rebalance(recovery, 1)
    await until(lambda: edge.assigned)
    assert recovery.app.consumer.flow_active
    assert recovery.app.consumer._thread._consumer.positions[HERE] == 3  # noqa: SLF001
    edge.ready.set()
    await until(lambda: hasattr(recovery, "resumes"))
    assert recovery.resumes == [1]


async def test_a_rebalance_meanwhile_makes_the_former_assignment_stale(recovery):
    edge = recovery.app.edge
    await rebalance(recovery, 1)
    await until(lambda: edge.assigned)
    assert edge.current[0]()
    recovery.app.consumer_generation_id = 2
    assert not edge.current[0]()
    await rebalance(recovery, 2)
    edge.ready.set()
    await until(lambda: hasattr(recovery, "resumes"))
    assert recovery.resumes == [2]
    assert len(edge.assigned) == 2


async def test_an_assignment_that_fails_ends_the_worker(recovery):
    recovery.app.edge.broken = OSError("disk")
    await rebalance(recovery, 1)
    await until(lambda: recovery.app.edge.failures)
    assert recovery.app.edge.failures == [recovery.app.edge.broken]
    assert not hasattr(recovery, "resumes")


async def test_what_is_on_its_way_to_an_agent_survives_the_second_resume(recovery):
    """Seen: six records were skipped for good after a rebalance."""
    app = recovery.app
    queue = app.FlowControlQueue(8, clear_on_resume=True)
    app.edge.at = {HERE: 3}
    app.flow_control.suspend()
    await rebalance(recovery, 1)
    await until(lambda: app.edge.assigned)
    queue.put_nowait("record 3")
    app.edge.ready.set()
    await until(lambda: hasattr(recovery, "resumes"))
    app.flow_control.resume()  # as Faust's own _resume_streams does
    assert queue.qsize() == 1
    app.flow_control.suspend()
    app.flow_control.resume()
    assert queue.empty()


# Tables.


@pytest.fixture
def table(new_app: NewApp) -> Any:
    edge = FakeEdge(stored={("memory", 1, b"k"): b"v"})
    return new_app(edge).Table("memory", key_type=bytes, value_type=bytes)


def test_a_table_reads_through_to_the_tasks(table):
    assert type(table.data) is EdgeStore
    assert table[b"k"] == b"v"
    assert b"k" in table
    assert b"other" not in table
    assert table.get(b"other") is None
    with pytest.raises(KeyError):
        table.data[b"other"]


WRITES: dict[str, Callable[[Any], object]] = {
    "set": lambda store: store.__setitem__(b"k", b"w"),
    "delete": lambda store: store.__delitem__(b"k"),
    "clear": lambda store: store.clear(),
    "changelog": lambda store: store.apply_changelog_batch([], bytes, bytes),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nobody_writes_a_store_past_its_task(table, write):
    with pytest.raises(ReadOnlyTableError, match="memory"):
        write(table.data)
    assert table[b"k"] == b"v"


TABLE_WRITES: dict[str, Callable[[Any], object]] = {
    "set": lambda table: table.__setitem__(b"k", b"w"),
    "delete": lambda table: table.__delitem__(b"k"),
    "pop": lambda table: table.pop(b"k"),
    "update": lambda table: table.update({b"k": b"w"}),
    "setdefault": lambda table: table.setdefault(b"new", b"w"),
}


@pytest.mark.parametrize("write", TABLE_WRITES.values(), ids=TABLE_WRITES)
def test_an_agents_write_leaves_no_record_in_the_changelog(table, write):
    """Faust sends it before it asks the store, and past our transactions."""
    sent = []
    table.send_changelog = lambda *args, **_: sent.append(args)
    table.partition_for_key = lambda _: 0
    with pytest.raises(ReadOnlyTableError):
        write(table)
    assert not sent


def test_faust_may_reset_and_size_a_table_and_changes_nothing(table):
    table.reset_state()
    assert table.persisted_offset(STATE) is None
    assert len(table) == 0
    assert list(table) == list(table.values()) == list(table.items()) == []
    assert table[b"k"] == b"v"


async def test_backups_are_the_changelogs_business(table):
    await table.data.backup_partition(STATE)
    table.data.restore_backup(STATE)
    assert table[b"k"] == b"v"


# The app.


def test_the_app_is_made_of_our_parts(new_app):
    app = new_app(FakeEdge())
    assert type(app.consumer) is EdgeConsumer
    assert type(app.consumer._thread) is EdgeThread  # noqa: SLF001
    assert isinstance(app.consumer._thread, ConsumerThread)  # noqa: SLF001
    assert isinstance(app.Table("t"), faust.Table)


async def test_a_stop_stops_the_flow_then_drains_then_leaves_it_to_faust(
    reading, monkeypatch
):
    edge, app = reading.edge, reading.app

    async def fausts(_: object) -> None:
        edge.events.append("faust stops")

    async def drain() -> None:
        edge.events.append(f"drained, flow {reading.consumer.flow_active}")

    monkeypatch.setattr(faust.App, "_stop_consumer", fausts)
    edge.drain = drain
    await app._stop_consumer()  # noqa: SLF001
    assert edge.events == ["drained, flow False", "faust stops"]


async def test_an_app_without_a_consumer_drains_too(new_app):
    edge = FakeEdge()
    await new_app(edge)._stop_consumer()  # noqa: SLF001
    assert edge.events == ["drained"]


class Coordinator:
    """aiokafka's, closed as it is: it has nothing under way."""

    member_id = "m1"

    def __init__(self, events: list[str]) -> None:
        self._events = events

    async def _send_req(self, _request: object) -> None:
        """Nobody asks for anything."""

    async def close(self) -> None:
        self._events.append("closed")


@pytest.fixture
def stopping(reading, monkeypatch) -> Any:
    """Make the consumer's thread, whose own stop is written down and not done."""

    async def fausts(_: object) -> None:
        reading.edge.events.append("faust stops")

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_thread_stop", fausts)
    reading.kafka._coordinator = Coordinator(reading.edge.events)  # noqa: SLF001
    return reading.consumer._thread  # noqa: SLF001


@pytest.mark.parametrize(
    ("instance", "told"), [(None, ["m1 left", "closed"]), ("a-0", [])]
)
async def test_a_stop_tells_the_group_unless_it_is_a_static_member(
    stopping, reading, instance, told
):
    reading.app.conf.consumer_group_instance_id = instance
    await stopping.on_thread_stop()
    assert reading.edge.events == [*told, "faust stops"]


async def test_a_consumer_that_ends_as_cancelled_does_not_keep_its_thread(
    stopping, monkeypatch
):
    stopped = []

    async def stop(consumer: object) -> None:
        stopped.append(consumer)

    monkeypatch.setattr(
        driver.AIOKafkaConsumerThread, "on_thread_stop", cancelled_by_nobody
    )
    monkeypatch.setattr(faust_edge, "stop_consumer", stop)
    await stopping.on_thread_stop()
    assert stopped == [stopping._consumer]  # noqa: SLF001


@pytest.mark.parametrize("consumer", [None, SimpleNamespace(_coordinator=None)])
async def test_a_stop_before_the_first_word_to_the_group_tells_nobody(
    stopping, reading, consumer
):
    stopping._consumer = consumer  # noqa: SLF001
    await stopping.on_thread_stop()
    assert reading.edge.events == ["faust stops"]


@pytest.mark.parametrize("hook", ["_on_partitions_revoked", "_on_partitions_assigned"])
async def test_a_rebalance_while_it_drains_ends_no_connection(
    reading, monkeypatch, hook
):
    """Seen: no heartbeat for the rest of the drain, and no word at its end."""
    closed, app = [], reading.app
    monkeypatch.setattr(reading.consumer, "close", lambda: closed.append("closed"))
    app._stopped.set()  # noqa: SLF001
    app.rebalancing = True  # set by the thread, before it asks
    await getattr(app, hook)({HERE})
    assert not closed
    assert not app.rebalancing, "its fetcher would end as if it had crashed"


async def test_assigned_partitions_are_those_of_the_sources(reading, new_app):
    reading.kafka.positions |= {THERE: 0, TP(CHANGELOG, 2): 0}
    assert reading.app.assigned_partitions() == {0, 1}
    assert new_app(FakeEdge()).assigned_partitions() == set()


async def test_partition_counts_are_those_of_the_sources_as_far_as_known(
    reading, new_app
):
    known: dict[str, set[int]] = {CHANGELOG: {0, 1}}
    reading.kafka.partitions_for_topic = known.get
    assert reading.app.partition_counts() == {}
    known[IN] = {0, 1, 2}
    assert reading.app.partition_counts() == {IN: 3}
    fresh = new_app(FakeEdge())
    assert fresh.partition_counts() == {}
    assert fresh.consumer is not None
    assert fresh.partition_counts() == {}


async def test_an_agents_error_ends_the_worker(new_app):
    app = new_app(FakeEdge())
    escaped = RuntimeError("of the agent, not of a request")
    await app._on_agent_error(None, escaped)  # noqa: SLF001 - Faust calls it
    assert app.edge.failures == [escaped]


def test_there_is_a_consumer_thread_once_there_is_a_consumer(new_app):
    app = new_app(FakeEdge())
    assert app.consumer_thread() is None
    assert app.consumer is not None
    assert app.consumer_thread() is app.consumer._thread  # noqa: SLF001 - its own
