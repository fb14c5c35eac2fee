"""A lab: one app of its own on a real broker, its requests and its workers."""

import asyncio
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, Message, Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from agents.provisioning import provision
from schemas.codec import PREFIX, ParsedSchema, decode, encode, frame
from schemas.shapes import namespace_of
from streams.catalog import toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.metrics import NullRecorder
from streams.pipeline import compile_folder
from streams.plan import Pipeline
from tests.integration.eventually import eventually
from tests.integration.processes import WORKER, WorkerProcess, bare_environment
from tests.integration.reading import Seen, Tail

PARTITIONS: Final = 4
NUMBERS: Final = itertools.count(1)

TIMERS: Final[Mapping[str, str]] = {
    "PENSTOCK_COMMIT_TIMEOUT_S": "2",
    "PENSTOCK_TRANSACTION_TIMEOUT_S": "4",
    "PENSTOCK_SESSION_TIMEOUT_S": "6",
    "PENSTOCK_DRAIN_S": "10",
    "PENSTOCK_SCHEMA_WAIT_S": "1",
}
"""Short enough for tests of what happens when they run out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, before it is bytes."""

    request_id: str
    session_id: str | None
    inputs: Mapping[str, Any]
    headers: tuple[tuple[str, bytes], ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the envelope, beside the usual ones."""

    @property
    def home(self) -> str:
        return self.session_id or self.request_id


@dataclass(slots=True, kw_only=True)
class Raw:
    """One record of any bytes, and where it went."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    """None: where murmur2 says."""
    offset: int | None = None

    def delivered(self, error: object, message: Message) -> None:
        """Take note of the broker's answer."""
        assert error is None, error
        self.partition, self.offset = message.partition(), message.offset()


class Lab:
    """An app with a prefix, topics and folders of its own."""

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        pipelines: Mapping[str, str],
        env: Mapping[str, str] | None = None,
        beside: Mapping[str, str] | None = None,
    ) -> None:
        """Provision the app whose pipeline files are *pipelines*, by name.

        *beside* has the files that they name, by their paths.
        """
        self.bootstrap = bootstrap
        self.prefix = f"lab{os.getpid()}-{next(NUMBERS)}"
        self.folder = folder / self.prefix
        self._env = dict(env or {})
        self._workers: list[WorkerProcess] = []
        self._tails: list[Tail] = []
        files = self.folder / "pipelines"
        files.mkdir(parents=True)
        for name, text in pipelines.items():
            (files / f"{name}.yaml").write_text(text)
        for path, text in (beside or {}).items():
            (files / path).parent.mkdir(exist_ok=True)
            (files / path).write_text(text)
        self.settings = Settings.from_env(self._ours())
        self.pipelines = self._compiled()
        self.schemas = self._schemas()
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "log_level": 0,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                # Kafka limits compressed batches: a huge record can come in small.
                "compression.type": "lz4",
                "message.max.bytes": 8_000_000,
            }
        )
        self.admin = self.new_admin()
        self.provision()

    # Requests in.

    def send(self, pipeline: str, asks: Iterable[Ask]) -> None:
        """Produce requests; return once the broker has them."""
        topic = self.topic(pipeline, "requests")
        self.produce(
            Raw(
                topic=topic,
                value=self.encoded(pipeline, ask),
                key=ask.home.encode(),
                headers=ask.headers,
            )
            for ask in asks
        )

    def produce(self, records: Iterable[Raw]) -> None:
        """Produce any bytes; return once the broker has them, and where stands."""
        for raw in records:
            where = {} if raw.partition is None else {"partition": raw.partition}
            self.producer.produce(
                raw.topic,
                value=raw.value,
                key=raw.key,
                headers=list(raw.headers),
                on_delivery=raw.delivered,
                **where,
            )
            self.producer.poll(0)
        assert self.producer.flush(30) == 0

    def encoded(
        self, pipeline: str, ask: Ask, schema: ParsedSchema | None = None
    ) -> bytes:
        """Return the value of the record that asks *ask*, in *schema* or the usual."""
        schema = schema or self.schemas[pipeline, "requests"]
        value = {
            "request_id": ask.request_id,
            "session_id": ask.session_id,
            "pipeline": pipeline,
            "pipeline_version": None,
            "inputs": ask.inputs,
            "deadline_ms": None,
            "priority": 0,
            "tenant": None,
            "mode": "NORMAL",
            "options": {},
            **ask.fields,
        }
        return frame(schema.id, encode(schema, value))

    # Workers.

    def worker(
        self, name: str = "a", entry: Sequence[str] = WORKER, **settings: object
    ) -> WorkerProcess:
        """Start a worker; one that has the same *name* has the same state folder."""
        env = self._ours() | {"PENSTOCK_STATE_DIR": str(self.folder / f"state-{name}")}
        env |= {f"PENSTOCK_{k.upper()}": str(v) for k, v in settings.items()}
        log = self.folder / f"worker-{name}.log"
        started = WorkerProcess(bare_environment() | env, log, entry)
        self._workers.append(started)
        return started

    def state(self, name: str = "a") -> Path:
        """Return the folder with the stores of worker *name*."""
        return self.folder / f"state-{name}" / self.settings.group

    # Topics out.

    def topic(self, pipeline: str, role: str) -> str:
        """Return a topic's name."""
        return f"{self.prefix}.{pipeline}.{role}"

    def tail(self, topic: str) -> Tail:
        """Read *topic* from its beginning."""
        tail = Tail(self.bootstrap, topic, PARTITIONS)
        self._tails.append(tail)
        return tail

    def changelog(self, table: str) -> dict[bytes, bytes]:
        """Return what the table's changelog adds up to."""
        folded: dict[bytes, bytes] = {}
        for seen in self.tail(f"{self.settings.group}-{table}-changelog").all():
            if seen.key.startswith(b"\0"):
                continue
            if seen.value is None:
                folded.pop(seen.key, None)
            else:
                folded[seen.key] = seen.value
        return folded

    def decode(self, pipeline: str, role: str, seen: Seen) -> dict[str, Any]:
        """Return the value of a result or stage record."""
        schema = self.schemas[pipeline, role]
        return decode(
            seen.value, start=PREFIX.size, schema=schema, limit_bytes=8_000_000
        )

    def committed(self) -> dict[tuple[str, int], int]:
        """Return the group's offsets."""
        request = [ConsumerGroupTopicPartitions(self.settings.group)]
        [future] = self.admin.list_consumer_group_offsets(request).values()
        return {
            (tp.topic, tp.partition): tp.offset
            for tp in future.result(20).topic_partitions
        }

    def new_admin(self) -> AdminClient:
        """Return a client that knows nothing yet.

        librdkafka's may wait without end for a coordinator that it knew before its
        broker restarted. Keep it until its futures are done.
        """
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def members(self) -> int:
        """Return how many workers the group knows."""
        group, admin = self.settings.group, self.new_admin()
        described = admin.describe_consumer_groups([group])
        return len(described[group].result(20).members)

    def config(self, topic: str) -> Mapping[str, ConfigEntry]:
        """Return a topic's configuration."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        [future] = self.admin.describe_configs([resource]).values()
        return future.result(20)

    def alter(self, topic: str, **config: object) -> None:
        """Change a topic's configuration while it is in use."""
        entries = [
            ConfigEntry(
                name.replace("_", "."),
                str(value),
                incremental_operation=AlterConfigOpType.SET,
            )
            for name, value in config.items()
        ]
        resource = ConfigResource(
            ResourceType.TOPIC, topic, incremental_configs=entries
        )
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result(20)

    def delete(self, topic: str) -> None:
        """Remove a topic while it is in use."""
        for future in self.admin.delete_topics([topic]).values():
            future.result(20)

    def recreate(self, topic: str) -> None:
        """Delete *topic*; make it as an operator does, once it is gone."""
        self.delete(topic)
        eventually(
            lambda: topic not in self.admin.list_topics(timeout=10).topics,
            within_s=20,
            what=f"no {topic}",
        )
        self.provision()

    def provision(self, names: Iterable[str] = (), **changes: Any) -> None:
        """Make the topics that are missing, as `penstock topics apply` does."""
        settings = replace(self.settings, **changes)
        asyncio.run(provision(settings, sorted(names or self.pipelines)))

    def close(self) -> None:
        """End what was started."""
        for worker in self._workers:
            worker.close()
        for tail in self._tails:
            tail.close()

    def _ours(self) -> dict[str, str]:
        return {
            **TIMERS,
            "PENSTOCK_BOOTSTRAP": self.bootstrap,
            "PENSTOCK_PREFIX": self.prefix,
            "PENSTOCK_PARTITIONS": str(PARTITIONS),
            "PENSTOCK_PIPELINES_DIR": str(self.folder / "pipelines"),
            "PENSTOCK_CODE_PATHS": str(Path(__file__).parent / "code"),
            "PENSTOCK_CODE_MODULES": "labcode",
            "PENSTOCK_STATE_DIR": str(self.folder / "state"),
            "PENSTOCK_HTTP_PORT": "0",
            **self._env,
        }

    def _compiled(self) -> Mapping[str, Pipeline]:
        tools = toolbox(self.settings, {}, NullRecorder(), SystemClock())
        return compile_folder(self.settings.pipelines_dir, tools)

    def _schemas(self) -> dict[tuple[str, str], ParsedSchema]:
        found = {}
        for name, pipeline in self.pipelines.items():
            space = namespace_of(self.prefix, name)
            found |= {
                (name, "requests"): ParsedSchema.of(pipeline.request_schema(space)),
                (name, "stages"): ParsedSchema.of(pipeline.stage_result_schema(space)),
                (name, "results"): ParsedSchema.of(pipeline.result_schema(space)),
            }
        return found
