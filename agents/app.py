"""The app: every part of a worker, wired by hand, in one place."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from yarl import URL

from agents.backpressure import Backpressure
from agents.census import census
from agents.checks import until_among_equals
from agents.consumer_pulse import ConsumerPulse
from agents.execution import Parts
from agents.exit_codes import ExitCode
from agents.failures import EdgeError
from agents.faust_edge import BUNDLE, Bundle, EdgeApp, EdgeConsumer, EdgeSchema
from agents.gaps import Gaps
from agents.group import sign_off
from agents.health import Health
from agents.http import HttpServer
from agents.lease import Lease, renew_with
from agents.ledger import LedgerStore
from agents.lost_markers import LostMarkers
from agents.metrics import EdgeGauge, Metrics
from agents.mishap import mishap
from agents.pipelines import PipelineAgent
from agents.record import Record
from agents.registry_client import RegistryClient
from agents.restore import Shelf, changelog
from agents.schema_topic import SchemaTopic
from agents.schemas import SchemaFinder
from agents.seams import Seams
from agents.serde import ENVELOPE_BYTES, Serde, Topics
from agents.tables import LEDGER, TABLES, Engine, KeyStore, Store
from agents.tasks import Tasks, snapshot
from agents.topic_watch import watch_topics
from agents.transactions import Transactor
from agents.unreadable import Unreadable
from schemas.codec import ParsedSchema
from schemas.registry import SchemaSource
from schemas.shapes import namespace_of
from streams.clock import Clock
from streams.config import Settings
from streams.plan import Pipeline

log = structlog.get_logger(__name__)

POLL_RECORDS: Final = 500
"""Records of one fetch; at most a fifth of the stream buffer, or one busy agent
blocks the fetch loop for all (reference: Faust's conductor awaits a full queue)."""
STREAM_BUFFER: Final = 8_192 // BUNDLE

GOVERN_S: Final = 0.1
"""How often backpressure is looked at. A task may overshoot its quota by what
arrives meanwhile, one fetch at most."""

LOOK_S: Final = 1.0
"""How often a worker looks whether it is ill."""

FOREVER_S: Final = 30 * 24 * 3_600
"""For Faust's max poll interval: it leaves the group for good when it passes, and a
paused partition looks like a poll that never came. Our own watchdog replaces it."""

METADATA_MS: Final = 15_000
"""How old the consumer's view of topics may be: partitions that somebody adds while
we run take records to places where their sessions are not."""

HEARTBEATS: Final = 10
"""Per session timeout; the usual third is too few on a busy machine."""


PER_PARTITION: Final[tuple[EdgeGauge, ...]] = (
    "penstock_task_running",
    "penstock_task_waiting",
    "penstock_task_waiting_bytes",
    "penstock_task_unsettled",
)
"""Gauges of tasks; those of partitions that left are no more."""


class PartitionsGrewError(EdgeError):
    """Somebody added partitions to a request topic while workers ran."""

    code = "topics.partitions"
    exit_code = ExitCode.USAGE

    def __init__(self, topic: str, found: int, wanted: int) -> None:
        super().__init__(
            f"{topic} has {found} partitions, the app has {wanted}: keys and tables "
            "are placed by that number for ever. Move to topics with another prefix, "
            "or recreate the topic with the old number"
        )


class Worker:
    """A worker: Faust app, tasks, stores, registry and HTTP, from one Settings."""

    def __init__(  # noqa: PLR0913 - one caller, and the fault tests
        self,
        settings: Settings,
        pipelines: Mapping[str, Pipeline],
        *,
        clock: Clock,
        metrics: Metrics,
        on_fatal: Callable[[BaseException], None],
        seams: Seams,
    ) -> None:
        """Wire everything; *seams* are others where failpoints are armed."""
        self.settings = settings
        self.bootstrap = bootstrap = settings.bootstrap
        self.pipelines = pipelines
        self.metrics = metrics
        self._clock = clock
        self._on_fatal = on_fatal
        self._seams = seams
        self._schema_topic = SchemaTopic(bootstrap, settings.prefix)
        self._session: aiohttp.ClientSession | None = None
        self._registry = self._open_registry()
        self._finder = SchemaFinder(
            self._registry.by_id, clock, wait_s=settings.schema_wait_s
        )
        self._engine = Engine(
            cache_bytes=settings.rocksdb_cache_bytes,
            write_buffer_bytes=settings.rocksdb_write_buffer_bytes,
        )
        self._shelf = Shelf(
            folder=settings.state_dir / settings.group,
            openers={table: self._opener(table) for table in TABLES},
        )
        self.topics = {
            name: Topics.of(settings.prefix, name) for name in sorted(pipelines)
        }
        self._markers = markers_of(
            settings,
            self.topics.values(),
            lambda n: metrics.count("penstock_lost_markers_total", n),
        )
        self.lease = Lease(clock, settings.session_timeout_s)
        self._faust = self._faust_app()
        self.tasks = Tasks(
            settings,
            bootstrap=bootstrap,
            shape=shape_of(settings, pipelines),
            topics=sorted(self.source_topics()),
            shelf=self._shelf,
            restorer=seams.restorer(
                bootstrap,
                settings.group,
                self._shelf,
                clock,
                accept_loss=settings.accept_loss,
                on_progress=metrics.restoring,
                serving=self._serving,
            ),
            new_transactor=self._new_transactor,
            clock=clock,
            lease=self.lease,
            watcher=metrics,
            still_assigned=lambda p: p in self._faust.assigned_partitions(),
            rejoin=self._rejoin,
            on_fatal=on_fatal,
        )
        self._gaps = Gaps(
            consumer=lambda: cast("EdgeConsumer", self._faust.consumer),
            taken_to=self.tasks.taken_to,
            metrics=metrics,
        )
        self._unreadable = Unreadable(
            bootstrap=bootstrap, group=settings.group, clock=clock, fatal=on_fatal
        )
        self._backpressure = Backpressure(
            available={
                self.topics[name].requests: self._available(pipeline)
                for name, pipeline in pipelines.items()
            },
            full=self.tasks.full,
            partitions=self.tasks.by_partition.keys,
        )
        self.health = Health(
            clock=clock,
            held=lambda: snapshot(self.tasks),
            consumer=ConsumerPulse(
                thread=self._faust.consumer_thread,
                clock=clock,
                stuck_s=settings.stuck_s,
            ).problems,
            assigned=self._faust.assigned_partitions,
            draining=lambda: self.tasks.draining,
            opening=lambda: self.tasks.opening,
            kafka_away=lambda: self.metrics.is_held,
        )
        self._http = HttpServer(
            self.health,
            metrics,
            registry=None if settings.registry_url else self._schema_topic.registry(),
            register=settings.registry_register,
            measure=self._measure,
        )
        self._watchers: list[asyncio.Task[None]] = []
        self._among_equals = False
        """Set once no other member was found to run another set of pipelines."""

    # What agents/faust_edge.py asks of us (its protocol Edge).

    def source_topics(self) -> frozenset[str]:
        return frozenset(topics.requests for topics in self.topics.values())

    def joining(self, coordinator: Any) -> None:
        renew_with(coordinator, self.lease, self.source_topics(), self._clock)

    async def assign(self, partitions: set[int], current: Callable[[], bool]) -> None:
        found = 1 + max(partitions, default=-1)
        if found > self.settings.partitions:
            # There is nowhere to restore these from: it would be tried for ever.
            topic = min(self.source_topics())
            raise PartitionsGrewError(topic, found, self.settings.partitions)
        if not self._among_equals:
            group, sources = self.settings.group, self.source_topics()
            await until_among_equals(self.bootstrap, group, sources, current=current)
            self._among_equals = current()
        await self.tasks.assign(partitions, current)

    def resume_at(self) -> Mapping[TopicPartition, int]:
        return self.tasks.resume_at()

    def resumed(self) -> None:
        self._backpressure.forget()

    def govern(self) -> None:
        if self._faust.assigned_partitions():
            self._backpressure.apply(cast("EdgeConsumer", self._faust.consumer))

    async def unreadable(self, error: KafkaError) -> None:
        await self._unreadable.failed(error)

    async def drain(self) -> None:
        await self.tasks.drain()

    async def leave(self, member_id: str) -> None:
        await sign_off(self.bootstrap, self.settings.group, member_id)

    def fatal(self, error: BaseException) -> None:
        self._on_fatal(error)

    def read(self, table: str, partition: int, key: bytes) -> bytes | None:
        task = self.tasks.by_partition.get(partition)
        return None if task is None else task.get(table, key)

    def local_partitions(self) -> Iterable[int]:
        return sorted(self.tasks.by_partition)

    # Life.

    async def start_http(self) -> int:
        """Answer probes from now on; return the port."""
        return await self._http.start(self.settings.http_host, self.settings.http_port)

    async def start(self) -> None:
        """Register schemas and agents, join the group, take records.

        Raises:
            SchemaError: a schema is incompatible, or the registry does not answer.
            KafkaError: the broker cannot be reached.
        """
        await self._schema_topic.start()
        agents = [await self._agent(p) for _, p in sorted(self.pipelines.items())]
        for agent in agents:
            self._register(agent)
        self._declare_tables()
        for watch in (
            self._govern(),
            self._look_after_health(),
            watch_topics(self.bootstrap, self.tasks.known_topics(), self._on_fatal),
        ):
            self._watchers.append(asyncio.create_task(watch))
            self._watchers[-1].add_done_callback(self._watched)
        self.health.started = False
        await self._faust.start()
        self.health.started = True

    async def stop(self) -> None:
        """Drain, leave (unless a static member), and close everything."""
        for watcher in self._watchers:
            watcher.cancel()
        await self._faust.stop()
        for pipeline in self.pipelines.values():
            await pipeline.aclose()
        await self._schema_topic.stop()
        if self._session is not None:
            await self._session.close()
        await self._http.stop()

    async def crashed(self) -> BaseException | None:
        """Return once Faust has stopped by itself, with its reason."""
        await self._faust.wait_until_stopped()
        reason: BaseException | None = self._faust.crash_reason
        # What the group said is what the fetcher, told as well, may have crashed of.
        return self._faust.group_error() or reason

    # Wiring.

    def _available(self, pipeline: Pipeline) -> Callable[[], bool]:
        """Return whether a pipeline can make progress: it can be read, and can ask."""
        topic = self.topics[pipeline.name].requests
        return lambda: self._unreadable.readable(topic) and pipeline.available()

    def _open_registry(self) -> SchemaSource:
        if self.settings.registry_url:
            self._session = aiohttp.ClientSession()
            return RegistryClient(self._session, self.settings.registry_url)
        return self._schema_topic.registry()

    def _serving(self) -> bool:
        return bool(self.tasks.by_partition)

    def _opener(self, table: str) -> Callable[[Path], Store]:
        new = self._new_ledger if table == LEDGER else self._new_store
        return lambda path: self._seams.store(path, new(path))

    def _new_store(self, path: Path) -> Store:
        return KeyStore(self._engine, path)

    def _new_ledger(self, path: Path) -> Store:
        return LedgerStore(
            self._engine,
            path,
            window_s=self.settings.ledger_window_s,
            max_entries=self.settings.ledger_max_entries,
            on_shortened=self._shortened,
        )

    def _new_transactor(self, partition: int) -> Transactor:
        s = self.settings
        return self._seams.transactor(
            s.bootstrap,
            f"{s.group}-{partition}",
            group=s.group,
            commit_timeout_s=s.commit_timeout_s,
            transaction_timeout_s=s.transaction_timeout_s,
            partition=partition,
            markers=self._markers,
        )

    def _shortened(self, entries: int) -> None:
        log.warning("ledger.shortened", forgotten=entries)
        self.metrics.count("penstock_ledger_shortened_total", entries)

    def _faust_app(self) -> EdgeApp:
        s = self.settings
        return EdgeApp(
            s.group,
            edge=self,
            # So that a task that is just not full gets no more than as much again.
            fetch_bytes=s.max_waiting_bytes,
            broker=[URL(f"kafka://{host}") for host in self.bootstrap.split(",")],
            store="rocksdb://",
            datadir=str(s.state_dir / f"{s.group}-faust"),
            autodiscover=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            topic_partitions=s.partitions,
            table_standby_replicas=0,
            # The tasks say where to read. Any other policy would skip in silence
            # what retention took away while we ran.
            consumer_auto_offset_reset="none",
            consumer_group_instance_id=s.instance or None,
            broker_session_timeout=s.session_timeout_s,
            broker_heartbeat_interval=s.session_timeout_s / HEARTBEATS,
            broker_request_timeout=max(s.session_timeout_s, 30.0),
            broker_rebalance_timeout=60.0,
            broker_max_poll_interval=FOREVER_S,
            broker_max_poll_records=POLL_RECORDS,
            consumer_metadata_max_age_ms=METADATA_MS,
            stream_buffer_maxsize=STREAM_BUFFER,
            web_enabled=False,
            worker_redirect_stdouts=False,
        )

    def _declare_tables(self) -> None:
        for table in TABLES:
            self._faust.Table(
                table,
                key_type=bytes,
                value_type=bytes,
                partitions=self.settings.partitions,
            )

    async def _agent(self, pipeline: Pipeline) -> PipelineAgent:
        topics = self.topics[pipeline.name]
        namespace = namespace_of(self.settings.prefix, pipeline.name)
        schemas = {
            topics.requests: pipeline.request_schema(namespace),
            topics.stages: pipeline.stage_result_schema(namespace),
            topics.results: pipeline.result_schema(namespace),
        }
        parsed = {}
        for topic, schema in schemas.items():
            subject = f"{topic}-value"
            ref = await self._registry.register(subject, schema)
            parsed[topic] = ParsedSchema.of(schema, subject=subject, ref=ref)
            self._finder.add(parsed[topic])
        serde = Serde(
            pipeline=pipeline.name,
            topics=topics,
            find=self._finder.find,
            stage_schema=parsed[topics.stages],
            result_schema=parsed[topics.results],
            limit_bytes=self.settings.max_message_bytes,
        )
        parts = Parts(
            pipeline=pipeline,
            serde=serde,
            clock=self._clock,
            metrics=self.metrics,
            group=self.settings.group,
            limit_bytes=self.settings.max_message_bytes - ENVELOPE_BYTES,
        )
        return PipelineAgent(parts, self.settings, self._finder)

    def _register(self, agent: PipelineAgent) -> None:
        """Declare the Faust agent of one pipeline."""
        topic = self._faust.topic(
            agent.topics.requests,
            schema=EdgeSchema(),
            partitions=self.settings.partitions,
        )

        async def requests(stream: Any) -> None:
            async for bundle in stream:
                self._take(agent, bundle)

        self._faust.agent(topic, name=agent.pipeline.name)(requests)

    def _take(self, agent: PipelineAgent, bundle: Bundle) -> None:
        topic, partition = bundle[0].topic, bundle[0].partition
        if self._gaps.before(topic, partition, bundle.begin):
            return
        for record in bundle:
            self.tasks.submit(
                agent,
                Record(
                    topic=topic,
                    partition=partition,
                    offset=record.offset,
                    key=record.key,
                    value=record.value,
                    headers=record.headers,
                    timestamp_ms=record.timestamp,
                ),
            )

    # Watching.

    async def _govern(self) -> None:
        """Apply backpressure, and measure how late this loop is."""
        while True:
            before_s = self._clock.monotonic_s()
            await asyncio.sleep(GOVERN_S)
            late_s = self._clock.monotonic_s() - before_s - GOVERN_S
            self.metrics.gauge("penstock_loop_lag_seconds", max(0.0, late_s))
            self.govern()
            self._check_partitions()
            if (error := self._faust.group_error()) is not None:
                self._on_fatal(error)

    async def _look_after_health(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.health.end_if_ill()
            self.tasks.look()
            if self._faust.assigned_partitions():
                self._gaps.look()

    def _watched(self, watcher: asyncio.Task[None]) -> None:
        # Without them a worker goes on, and nobody sees where to.
        if (error := mishap(watcher)) is not None:
            self._on_fatal(error)

    def _check_partitions(self) -> None:
        wanted = self.settings.partitions
        for topic, found in self._faust.partition_counts().items():
            if found != wanted:
                self._on_fatal(PartitionsGrewError(topic, found, wanted))

    def _measure(self) -> None:
        gauge = self.metrics.gauge
        held = snapshot(self.tasks)
        self.metrics.forget(*PER_PARTITION)
        for each in held:
            at = str(each.partition)
            gauge("penstock_task_running", each.running, partition=at)
            gauge("penstock_task_waiting", each.waiting, partition=at)
            gauge("penstock_task_waiting_bytes", each.waiting_bytes, partition=at)
            gauge("penstock_task_unsettled", each.unsettled, partition=at)
        gauge("penstock_tasks_live", sum(each.state == "live" for each in held))
        gauge("penstock_lease_waiting", self.lease.waiting)
        gauge("penstock_paused_partitions", len(self._backpressure.paused))
        for part, size in self._engine.usage_bytes().items():
            gauge("penstock_rocksdb_bytes", size, part=part)
        thread = self._faust.consumer_thread()
        loops = [thread.thread_loop] if thread is not None else []
        found = census([asyncio.get_running_loop(), *loops])
        gauge("penstock_asyncio_tasks", found.tasks)
        gauge("penstock_kafka_clients", found.producers, kind="producer")
        gauge("penstock_kafka_clients", found.consumers, kind="consumer")
        gauge("penstock_kafka_clients", found.others, kind="other")

    def _rejoin(self) -> None:
        self.metrics.count("penstock_tasks_dead_total")
        self._faust.rejoin()


def markers_of(
    settings: Settings,
    topics: Iterable[Topics],
    found: Callable[[int], None] = lambda _: None,
) -> LostMarkers:
    """Return what looks after lost markers in all that tasks of this app write."""
    each = list(topics)
    return LostMarkers(
        state=[changelog(settings.group, table) for table in TABLES],
        outputs=[out for t in each for out in (t.stages, t.results, t.dlq)],
        shared=[t.requests for t in each],
        partitions=settings.partitions,
        found=found,
    )


def shape_of(settings: Settings, pipelines: Mapping[str, Pipeline]) -> str:
    """Return the fingerprint of the app's set of pipelines and tables.

    Faust co-partitions by who subscribes to what: members of a group that know
    different sets could each be given the same task.
    """
    parts = [str(settings.partitions), *sorted(pipelines), *TABLES]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
