"""Metrics: every name that a worker exports, and the Prometheus registry behind."""

import threading
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeVar, cast, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from streams import metrics as core

EdgeCounter = Literal[
    # Records sent on to their home partition, by pipeline.
    "penstock_rerouted_total",
    # Records set aside, by pipeline and code.
    "penstock_dead_letters_total",
    # Records whose request id was answered before, by pipeline.
    "penstock_repeated_total",
    # Transactions that went in.
    "penstock_commits_total",
    # Settlements that they made true.
    "penstock_settlements_total",
    # Records that they published, changelogs apart.
    "penstock_published_total",
    # Commits without a reply, by outcome (committed, not_committed, replaced).
    "penstock_commits_in_doubt_total",
    # Tasks that died and asked the group for a rejoin.
    "penstock_tasks_dead_total",
    # Request ids forgotten before their time, because the ledger was full.
    "penstock_ledger_shortened_total",
    # Partitions whose transaction the broker had left open, and that we ended.
    "penstock_lost_markers_total",
    # Bundles of requests in front of which some were missing; they are read again.
    "penstock_source_gaps_total",
    # Changelog records that restores read.
    "penstock_restored_total",
]
EdgeHistogram = Literal[
    # Seconds from the first try of a transaction until it was in.
    "penstock_commit_seconds",
]
EdgeGauge = Literal[
    # Runs in flight, by partition.
    "penstock_task_running",
    # Records that wait in lanes, by partition.
    "penstock_task_waiting",
    # Their bytes, by partition.
    "penstock_task_waiting_bytes",
    # Settlements that wait for their transaction, by partition.
    "penstock_task_unsettled",
    # Tasks that wait because Kafka refuses their records, or is away.
    "penstock_held",
    # Partitions with a live task.
    "penstock_tasks_live",
    # Changelog offsets that a restore has yet to read; 0 when there is none.
    "penstock_restore_left",
    # Runs that begin nothing new until the group has been heard again.
    "penstock_lease_waiting",
    # Source partitions that are paused.
    "penstock_paused_partitions",
    # Bytes in RocksDB's cache, and in the memtables, which are part of it.
    "penstock_rocksdb_bytes",
    # Asyncio tasks, the consumer's included.
    "penstock_asyncio_tasks",
    # Clients of Kafka that are open, by kind (producer, consumer, other).
    "penstock_kafka_clients",
    # How late a timer of the event loop fires, in seconds.
    "penstock_loop_lag_seconds",
]

LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "penstock_runs_total": ("pipeline", "status", "code"),
    "penstock_stage_attempts_total": ("pipeline", "stage", "code"),
    "penstock_journal_dropped_total": ("pipeline",),
    "penstock_journal_hits_total": ("kind",),
    "penstock_journal_misses_total": (),
    "penstock_inputs_ignored_total": ("pipeline",),
    "penstock_sessions_expired_total": ("pipeline",),
    "penstock_lm_calls_total": ("lm", "code"),
    "penstock_lm_tokens_total": ("lm", "kind"),
    "penstock_run_seconds": ("pipeline",),
    "penstock_stage_seconds": ("pipeline", "stage"),
    "penstock_lm_call_seconds": ("lm",),
    "penstock_lm_wait_seconds": ("lm",),
    "penstock_lm_in_flight": ("lm",),
    "penstock_lm_waiting": ("lm",),
    "penstock_lm_up": ("lm",),
    "penstock_rerouted_total": ("pipeline",),
    "penstock_dead_letters_total": ("pipeline", "code"),
    "penstock_repeated_total": ("pipeline",),
    "penstock_commits_total": (),
    "penstock_settlements_total": (),
    "penstock_published_total": (),
    "penstock_commits_in_doubt_total": ("outcome",),
    "penstock_tasks_dead_total": (),
    "penstock_ledger_shortened_total": (),
    "penstock_lost_markers_total": (),
    "penstock_source_gaps_total": (),
    "penstock_restored_total": (),
    "penstock_commit_seconds": (),
    "penstock_task_running": ("partition",),
    "penstock_task_waiting": ("partition",),
    "penstock_task_waiting_bytes": ("partition",),
    "penstock_task_unsettled": ("partition",),
    "penstock_held": (),
    "penstock_tasks_live": (),
    "penstock_restore_left": (),
    "penstock_lease_waiting": (),
    "penstock_paused_partitions": (),
    "penstock_rocksdb_bytes": ("part",),
    "penstock_asyncio_tasks": (),
    "penstock_kafka_clients": ("kind",),
    "penstock_loop_lag_seconds": (),
}
"""Labels of each metric; a label that a caller leaves out is empty."""

BUCKETS_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
"""LM calls take up to minutes: the usual buckets end at 10 s."""


MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


class Metrics:
    """The worker's metrics. Implements the core's Recorder and the task Watcher."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters = {
            name: Counter(name, name, LABELS[name], registry=self.registry)
            for name in (*get_args(core.Counter), *get_args(EdgeCounter))
        }
        self._histograms = {
            name: Histogram(
                name, name, LABELS[name], registry=self.registry, buckets=BUCKETS_S
            )
            for name in (*get_args(core.Histogram), *get_args(EdgeHistogram))
        }
        self._gauges = {
            name: Gauge(name, name, LABELS[name], registry=self.registry)
            for name in (*get_args(core.Gauge), *get_args(EdgeGauge))
        }
        # Resolving labels costs as much as counting: remember each combination.
        # Stages may run in threads, so the cache is filled under a lock.
        self._children: dict[tuple[str, tuple[tuple[str, str], ...]], object] = {}
        self._lock = threading.Lock()
        self._held: set[int] = set()

    def count(
        self, name: core.Counter | EdgeCounter, amount: float = 1, **labels: str
    ) -> None:
        child = self._child(self._counters[name], name, labels)
        child.inc(amount)

    def observe(
        self, name: core.Histogram | EdgeHistogram, value: float, **labels: str
    ) -> None:
        child = self._child(self._histograms[name], name, labels)
        child.observe(value)

    def gauge(self, name: core.Gauge | EdgeGauge, value: float, **labels: str) -> None:
        child = self._child(self._gauges[name], name, labels)
        child.set(value)

    def forget(self, *names: core.Gauge | EdgeGauge) -> None:
        """Drop all that is known of gauges, before what there is now is told."""
        with self._lock:
            for name in names:
                self._gauges[name].clear()
            self._children = {
                k: c for k, c in self._children.items() if k[0] not in names
            }

    def committed(self, settlements: int, records: int, seconds: float) -> None:
        """Count one transaction that went in."""
        self.count("penstock_commits_total")
        self.count("penstock_settlements_total", settlements)
        self.count("penstock_published_total", records)
        self.observe("penstock_commit_seconds", seconds)

    def doubted(self, outcome: str) -> None:
        """Count one commit whose reply never came, now that its outcome is known."""
        self.count("penstock_commits_in_doubt_total", outcome=outcome)

    def restoring(self, read: int, left: int) -> None:
        """Count changelog records that were *read*; show what is *left*."""
        self.count("penstock_restored_total", read)
        self.gauge("penstock_restore_left", left)

    def held(self, partition: int, *, held: bool) -> None:
        """Show whether a task waits for Kafka to take its records again."""
        if held:
            self._held.add(partition)
        else:
            self._held.discard(partition)
        self.gauge("penstock_held", len(self._held))

    @property
    def is_held(self) -> bool:
        """Whether any task waits for Kafka."""
        return bool(self._held)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def _child(self, metric: MetricT, name: str, labels: Mapping[str, str]) -> MetricT:
        if not LABELS[name]:
            return metric
        key = (name, tuple(labels.items()))
        child = self._children.get(key)
        if child is None:
            with self._lock:
                values = [labels.get(label, "") for label in LABELS[name]]
                child = self._children.setdefault(key, metric.labels(*values))
        return cast("MetricT", child)


def names() -> Iterable[str]:
    """Return every metric name, for the tests of docs and labels."""
    return LABELS.keys()
