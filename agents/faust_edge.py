"""The edge to Faust: every override of its insides, and nothing else.

Faust (pinned to 0.15.3) stays the frame: app, agents, tables, assignor, consumer
thread. What it would do to offsets, state and shutdown is replaced here:

==========================  =====================================================
``EdgeConsumer.ack``        forgets the message: "handed to a lane", no more
``commit``, ``force_commit``  never: offsets ride in the tasks' transactions
``_drain_messages``         hands fetched records on in bundles, without asyncio tasks
``_getmany``                a partition that cannot be read ends no fetch loop; one
                            whose task is still being opened is not fetched
``EdgeSchema``              leaves a bundle as it is: decoding is serde.py's
``perform_seek``            goes where the tasks say, not to committed offsets
``EdgeThread``              reads committed records only, and those with garbled
                            header names; hands on so many bytes at once; can ask for
                            a rejoin; says its instance id, and hears who else has it;
                            lets us hear what the group says; leaves at once, with a
                            join under way too; ends although its consumer says that
                            it was cancelled
``EdgeRecovery``            restores through our tasks, not record by record; what
                            stays is read on meanwhile
``EdgeFlow``                empties no stream while the flow goes on
``EdgeTable``, ``EdgeStore``  a window onto the tasks' stores; agents cannot write
``EdgeApp``                 drains before Faust stops its tables; a rebalance drains
                            nothing, and one while it stops ends no connection; an
                            agent's error ends the worker
==========================  =====================================================

Faust's own reasons for doing otherwise are in its source; ours are in the design, and
each override has a test that fails without it (tests/agents/test_faust_edge.py).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from faust.exceptions import ConsumerNotStarted
from faust.stores.base import SerializedStore
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.utils.objects import cached_property
from mode.utils.queues import FlowControlEvent

from agents.closing import stop_consumer
from agents.failures import InstanceTakenError
from agents.fetch_bounds import bound
from agents.fetched_records import forget_errors, read_leniently
from agents.instance_name import say_name
from agents.parting import part
from streams.cancellation import we_are_cancelled

log = structlog.get_logger(__name__)

BUNDLE: Final = 32
"""Records that go through Faust's streams as one event. Faust costs 80 µs for each
event, and a bundle is taken in one go, so it also bounds how long the loop waits."""

FETCH_BYTES: Final = 1 << 20
"""What one partition hands on at once, unless the app says otherwise."""

POLL_S: Final = 1.0
"""How long a fetch waits for records; aiokafka wakes it up for the first."""

LOOK_AGAIN_S: Final = 0.05
"""The same while partitions are paused: a fetch that is under way knows only those
that were not, and one that was resumed has to wait for it."""

TURNS: Final = 3
"""Turns of the loop in which an agent is sure to take what its queue got."""

LINGER_S: Final = 0.005
"""Wait before the next fetch where the last one brought less than a bundle, as a
producer lingers before it sends: at 300 requests a second, a fetch each costs more
than the requests do."""

UNREADABLE: Final = (
    TopicAuthorizationFailedError,
    OffsetOutOfRangeError,
    NoOffsetForPartitionError,  # assigned, and not sought yet
)
"""Errors of a fetch that are about a partition, and not about the consumer."""


class Edge(Protocol):
    """What Faust's hooks ask of us."""

    def source_topics(self) -> frozenset[str]:
        """Return the request topics."""
        ...

    def joining(self, coordinator: Any) -> None:
        """Look at what aiokafka's *coordinator* hears, from the first word on.

        Called in the consumer's thread.
        """
        ...

    async def assign(self, partitions: set[int], current: Callable[[], bool]) -> None:
        """Have exactly the tasks of *partitions*, ready to take records."""
        ...

    def resume_at(self) -> Mapping[TopicPartition, int]:
        """Return where to read on, for every live task."""
        ...

    def resumed(self) -> None:
        """Take note that the flow goes on and nothing is paused."""
        ...

    def govern(self) -> None:
        """Pause and resume source partitions, as backpressure has it now."""
        ...

    async def unreadable(self, error: KafkaError) -> None:
        """Decide what follows from one of :data:`UNREADABLE`; nothing was fetched."""
        ...

    async def drain(self) -> None:
        """Finish, commit and close every task."""
        ...

    async def leave(self, member_id: str) -> None:
        """Tell the group that *member_id* leaves; bounded in time, raises nothing.

        Called in the consumer's thread, once everything is drained.
        """
        ...

    def fatal(self, error: BaseException) -> None:
        """End the worker with *error*."""
        ...

    def read(self, table: str, partition: int, key: bytes) -> bytes | None:
        """Return a table's value."""
        ...

    def local_partitions(self) -> Iterable[int]:
        """Return the partitions that have a task here."""
        ...


class EdgeThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, reading committed records only."""

    _seeks = 0
    taken: InstanceTakenError | None = None
    """Set once another member has our instance id."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Set before start: the fetcher is made from it. Faust offers it only
        # together with its own (broken) exactly-once mode.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        # Faust subscribes later, so nothing has been fetched yet.
        consumer, app = self._ensure_consumer(), cast("EdgeApp", self.app)
        read_leniently(consumer._fetcher)  # noqa: SLF001
        bound(consumer._fetcher, app.fetch_bytes)  # noqa: SLF001
        if instance := app.conf.consumer_group_instance_id:
            say_name(consumer._coordinator, instance, self._instance_taken)  # noqa: SLF001
        app.edge.joining(consumer._coordinator)  # noqa: SLF001

    async def on_thread_stop(self) -> None:
        coordinator = getattr(self._consumer, "_coordinator", None)
        # A static member stays: it will be back.
        if coordinator is not None and not self.app.conf.consumer_group_instance_id:
            await part(coordinator, cast("EdgeApp", self.app).edge.leave)
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            if we_are_cancelled():
                raise
            # The consumer's own (agents/closing.py). Who waits for this thread would
            # not hear that it has ended.
            await stop_consumer(self._consumer)

    def _instance_taken(self) -> None:
        name = self.app.conf.consumer_group_instance_id
        self.taken = InstanceTakenError(name)

    @property
    def era(self) -> tuple[int, int]:
        """Which seeks a fetch has behind it; it changes in this thread only."""
        return self._seeks, self.app.consumer_generation_id

    async def _seek_wait(self, consumer: Any, partitions: Any) -> None:
        self._seeks += 1
        await super()._seek_wait(consumer, partitions)

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        try:
            records = await super()._fetch_records(*args, **kwargs)
        except UNREADABLE:
            forget_errors(self._ensure_consumer()._fetcher)  # noqa: SLF001
            raise
        # Taken in the same turn of this thread's loop in which positions move on.
        return records, self.era

    def rejoin(self) -> None:
        """Ask the group for a new assignment; callable from any thread."""
        if self._consumer is not None:
            coordinator = self._consumer._coordinator  # noqa: SLF001
            self.thread_loop.call_soon_threadsafe(coordinator.request_rejoin)


class Bundle(list[Any]):
    """Records that follow one another, handed on as one message."""

    begin = 0
    """The offset from which on nothing is missing in front of the first record."""


class EdgeConsumer(driver.Consumer):
    """Faust's consumer without acks, commits and per-record asyncio tasks."""

    app: "EdgeApp"
    _thread: EdgeThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of the last fetch. A fetch may sleep through a whole rebalance, its seeks
        # included: what it brings from before them comes again, what it brings from
        # behind them does not.
        self._era = (0, 0)
        # Those that have a place to read on: while tasks are opened, theirs have none.
        self._sought: frozenset[Any] = frozenset()
        # Where the next bundle of each begins: behind the last one, or where sought.
        self._begins: dict[Any, int] = {}

    def _new_consumer_thread(self) -> EdgeThread:
        return EdgeThread(self, loop=self.loop, beacon=self.beacon)

    def ack(self, message: Any) -> bool:
        if message.acked:
            return False
        message.acked = True
        # Faust waits for this set to be empty before it stops.
        self._unacked_messages.discard(message)
        return True

    async def commit(self, *_args: Any, **_kwargs: Any) -> bool:
        return False

    async def force_commit(self, *_args: Any, **_kwargs: Any) -> bool:
        return False

    async def wait_empty(self) -> None:
        """Nothing is left to wait for: an ack means handed to a lane."""

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Faust's watchdog looks at its own commits; ours is agents/health.py."""

    async def verify_all_partitions_active(self) -> None:
        """As above."""

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        sought = active_partitions & self._sought
        if not sought:
            # Of no partitions aiokafka would make all.
            await asyncio.sleep(LOOK_AGAIN_S)
            return {}
        try:
            fetched: Any = await super()._getmany(sought, timeout)
        except UNREADABLE as error:
            await self.app.edge.unreadable(error)
            return {}
        records, self._era = fetched
        return records

    async def perform_seek(self) -> None:
        at = {
            TP(tp.topic, tp.partition): offset
            for tp, offset in self.app.edge.resume_at().items()
        }
        assigned = self.assignment()
        wanted = {tp: offset for tp, offset in at.items() if tp in assigned}
        self._sought = frozenset()
        if wanted:
            await self.seek_wait(wanted)
        self._begins = wanted
        self._sought = frozenset(wanted)

    def handed_on(self) -> Mapping[Any, int]:
        """Return up to which offset records were handed on, or sought.

        A rebalance drops what is on its way, and seeks before the flow goes on.
        """
        return self._begins if self.flow_active else {}

    async def _drain_messages(self, fetcher: Any) -> None:
        stopped, fetcher_stopped = self._stopped.is_set, fetcher._stopped.is_set  # noqa: SLF001
        sources = self.app.edge.source_topics()
        while not (stopped() or fetcher_stopped()):
            # Before each fetch, not on a timer only: what is over its quota gets no
            # more than this one fetch.
            self.app.edge.govern()
            if self.flow_active and not self._get_active_partitions():
                # Faust would sleep for a second; a pause often ends sooner.
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            wait_s = LOOK_AGAIN_S if self._paused_sources() else POLL_S
            records, _active = await self._wait_next_records(timeout=wait_s)
            if records and not self.should_stop:
                await self._hand_on(records, sources)
            # Let the agents take what was handed on, so that it counts as waiting.
            for _ in range(TURNS):
                await asyncio.sleep(0)
            if records and sum(map(len, records.values())) < BUNDLE:
                # A fetch costs both sides the same, however little is in it.
                await asyncio.sleep(LINGER_S)

    def _paused_sources(self) -> bool:
        sources = self.app.edge.source_topics()
        return any(tp.topic in sources for tp in self._paused_partitions)

    async def _hand_on(
        self, fetched: Mapping[Any, Any], sources: frozenset[str]
    ) -> None:
        era = self._era
        for tp, records in _bundles(fetched):
            if not self.flow_active:
                # Not dropped yet: the seek of this stop may be behind it.
                await self.wait(cast("Any", self.can_resume_flow))
            if self.should_stop or era != self._thread.era:
                return
            # A partition that was paused meanwhile still gets what was fetched:
            # its position has moved on, so nobody would bring these again.
            if tp.topic in sources:
                await self.callback(self._bundle(tp, records))

    def _bundle(self, tp: Any, records: Sequence[Any]) -> Any:
        """Return one Faust message whose value is *records*, in their order."""
        bundle = Bundle(records)
        bundle.begin = self._begins.get(tp, records[0].offset)
        message: Any = self._to_message(tp, records[-1])
        message.key, message.value, message.headers = None, bundle, None
        self._begins[tp] = records[-1].offset + 1
        return message


def _bundles(fetched: Mapping[Any, Sequence[Any]]) -> Iterator[tuple[Any, Any]]:
    """Cut what was fetched into bundles, partitions in turn."""
    longest = max(map(len, fetched.values()), default=0)
    for begin in range(0, longest, BUNDLE):
        for tp, records in fetched.items():
            if begin < len(records):
                yield tp, records[begin : begin + BUNDLE]


class EdgeSchema(faust.Schema[Any, Any]):
    """Leaves a bundle of records as it is."""

    def compile(self, app: Any, **_options: Any) -> Any:
        create_event = app.create_event

        async def decode(message: Any, **_options: Any) -> Any:
            return create_event(None, message.value, None, message)

        return decode


class EdgeTransport(driver.Transport):
    """Faust's transport with our consumer."""

    Consumer = EdgeConsumer


class EdgeRecovery(Recovery):
    """Faust's recovery service, doing our restore."""

    app: "EdgeApp"

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        self._generation_id = generation_id
        self.signal_recovery_start.set()

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Changelogs are read by agents/restore.py."""

    @Service.task
    async def _publish_stats(self) -> None:
        """As above."""

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(cast("Any", self.signal_recovery_start)):
                return
            self.signal_recovery_start.clear()
            generation = self._generation_id
            try:
                await self._follow(generation)
            except RebalanceAgain:
                continue
            except ServiceStopped:
                return
            except Exception as error:
                if not self._current(generation):
                    # The next rebalance took away what this one was seeking in.
                    continue
                log.exception("edge.assign_failed")
                self.app.edge.fatal(error)
                return

    async def _follow(self, generation: int) -> None:
        if self._current(generation) and self.app.edge.resume_at():
            await self._wait(self._read_on())
        await self._assign(generation)
        if self._current(generation):
            await self._wait(self._resume_streams(generation_id=generation))

    async def _read_on(self) -> None:
        """Take up what stays here again: a restore of the rest may take minutes."""
        app, consumer = self.app, self.app.consumer
        app.edge.resumed()
        consumer.resume_partitions(
            {tp for tp in consumer.assignment() if not self._is_changelog_tp(tp)}
        )
        await consumer.perform_seek()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()  # noqa: SLF001 - as Faust does at the end

    async def _assign(self, generation: int) -> None:
        sources = self.app.edge.source_topics()
        partitions = {
            tp.partition for tp in self.app.consumer.assignment() if tp.topic in sources
        }
        # Not under _wait, which would cancel it: a task is never left half open.
        await self.app.edge.assign(partitions, lambda: self._current(generation))

    def _current(self, generation: int) -> bool:
        return (
            not self.should_stop
            and not self.signal_recovery_start.is_set()
            and generation == self.app.consumer_generation_id
        )

    async def _resume_streams(self, generation_id: int = 0) -> None:
        self.app.edge.resumed()
        await super()._resume_streams(generation_id=generation_id)


class EdgeTables(TableManager):
    """Faust's tables with our recovery."""

    @property
    def recovery(self) -> EdgeRecovery:
        if self._recovery is None:
            self._recovery = EdgeRecovery(
                self.app, self, beacon=self.beacon, loop=self.loop
            )
        return cast("EdgeRecovery", self._recovery)


class EdgeStore(SerializedStore[bytes, bytes]):
    """A window onto the tasks' stores: Faust may look, only settlements write."""

    def persisted_offset(self, tp: Any) -> int | None:
        return None

    def _get(self, key: bytes) -> bytes | None:
        edge = cast("EdgeApp", self.app).edge
        for partition in edge.local_partitions():
            value: bytes | None = edge.read(self.table_name, partition, key)
            if value is not None:
                return value
        return None

    def _contains(self, key: bytes) -> bool:
        return self._get(key) is not None

    def _set(self, key: bytes, value: bytes | None) -> None:
        raise ReadOnlyTableError(self.table_name)

    def _del(self, key: bytes) -> None:
        raise ReadOnlyTableError(self.table_name)

    def _clear(self) -> None:
        raise ReadOnlyTableError(self.table_name)

    def reset_state(self) -> None:
        """State is reset by wiping stores (agents/restore.py)."""

    def apply_changelog_batch(self, *_args: Any, **_kwargs: Any) -> None:
        raise ReadOnlyTableError(self.table_name)

    async def backup_partition(self, *_args: Any, **_kwargs: Any) -> None:
        """The changelog is the backup."""

    def restore_backup(self, *_args: Any, **_kwargs: Any) -> None:
        """As above."""

    def _iterkeys(self) -> Iterator[bytes]:
        return iter(())

    def _itervalues(self) -> Iterator[bytes | None]:
        return iter(())

    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def _size(self) -> int:
        return 0


class ReadOnlyTableError(Exception):
    """Somebody wrote a table past its task."""

    def __init__(self, table: str) -> None:
        super().__init__(f"table {table}: agents settle writes, they never make them")


class EdgeTable(faust.Table[bytes, bytes]):
    """A Faust table whose data is with our tasks."""

    # Faust sends to the changelog before it asks the store, and past our transactions.

    def on_key_set(self, key: bytes, value: bytes) -> None:
        raise ReadOnlyTableError(self.name)

    def on_key_del(self, key: bytes) -> None:
        raise ReadOnlyTableError(self.name)

    def _new_store_by_url(self, url: Any) -> EdgeStore:
        return EdgeStore(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_type=self.value_type,
            value_serializer=self.value_serializer,
        )


class EdgeFlow(FlowControlEvent):
    """Flow control of streams that drops nothing while the flow goes on.

    Faust empties the streams whenever it resumes them. After a rebalance it is done
    twice, and what was handed on in between would be gone, behind the consumer's back.
    """

    def resume(self) -> None:
        if not self.is_active():
            super().resume()


class EdgeApp(faust.App):
    """A Faust app that leaves settling to *edge*."""

    edge: Edge

    def __init__(
        self, name: str, *, edge: Edge, fetch_bytes: int = FETCH_BYTES, **options: Any
    ) -> None:
        """Make the app; a partition hands on *fetch_bytes* at once, and a record."""
        self.edge = edge
        self.fetch_bytes = fetch_bytes
        super().__init__(name, TableManager=EdgeTables, Table=EdgeTable, **options)

    @cached_property
    def flow_control(self) -> EdgeFlow:
        return EdgeFlow(loop=self.loop)

    def _new_transport(self) -> EdgeTransport:
        return EdgeTransport(self.conf.broker_consumer, self)

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:
        """A rebalance waits for nobody; tasks of lost partitions are cancelled."""

    async def _stop_consumer(self) -> None:
        # Before Faust stops its tables and leaves the group: what runs may finish,
        # and what it settles is still ours to publish.
        if self._consumer is not None:
            self._consumer.stop_flow()
        await self.edge.drain()
        await super()._stop_consumer()

    def _on_rebalance_when_stopped(self) -> None:
        # Faust would close the consumer, from another thread: no heartbeat while we
        # drain, and no word to the group at the end, which waits for us. So we stay a
        # member to the end of the drain, whoever comes and goes.
        self.rebalancing = False

    async def _on_agent_error(self, agent: Any, error: BaseException) -> None:
        # Faust would start the agent again, without the bundle that it had: records
        # that nobody has taken, and that nobody would bring again.
        await super()._on_agent_error(agent, error)
        self.edge.fatal(error)

    def rejoin(self) -> None:
        """Ask the group for a new assignment."""
        cast("EdgeConsumer", self.consumer)._thread.rejoin()  # noqa: SLF001

    def assigned_partitions(self) -> set[int]:
        """Return the partitions that the group gives us, as far as we know."""
        if self._consumer is None:
            return set()
        sources = self.edge.source_topics()
        try:
            assigned = self._consumer.assignment()
        except ConsumerNotStarted:
            return set()
        return {tp.partition for tp in assigned if tp.topic in sources}

    def partition_counts(self) -> Mapping[str, int]:
        """Return how many partitions the request topics have, as far as we know."""
        if self._consumer is None:
            return {}
        consumer = cast("EdgeConsumer", self._consumer)._thread._consumer  # noqa: SLF001
        if consumer is None:
            return {}
        known = {t: consumer.partitions_for_topic(t) for t in self.edge.source_topics()}
        return {
            topic: len(partitions) for topic, partitions in known.items() if partitions
        }

    def group_error(self) -> BaseException | None:
        """Return why the group does not have us, once aiokafka has given up.

        It waits for somebody to fetch, to tell them; before an assignment nobody does.
        """
        if self._consumer is None:
            return None
        thread = cast("EdgeConsumer", self._consumer)._thread  # noqa: SLF001
        if thread.taken is not None:
            return thread.taken
        coordinator = getattr(thread._consumer, "_coordinator", None)  # noqa: SLF001
        error: BaseException | None = getattr(coordinator, "_pending_exception", None)
        return error

    def consumer_thread(self) -> EdgeThread | None:
        """Return the consumer's thread, once there is a consumer."""
        if self._consumer is None:
            return None
        return cast("EdgeConsumer", self._consumer)._thread  # noqa: SLF001
