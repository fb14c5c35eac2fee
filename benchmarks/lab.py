"""The lab: one broker that all contenders share, filled topics, and processes."""

import json
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

PARTITIONS: Final = 8
ADMIN_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 30.0

Record = tuple[str, bytes]
"""Key and value of a request."""


class LabError(Exception):
    """A contender did not do its part, so there is nothing to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How to start a contender whose requests wait on their topic."""

    command: Sequence[str]
    requests: str
    """The topic that it takes requests from."""
    results: str
    """The topic that it answers on."""
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


class Running:
    """A contender's process, and what it uses."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._usage = psutil.Process(process.pid)
        self._log = log

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace")

    def require_alive(self) -> None:
        """Check that it still runs.

        Raises:
            LabError: it ended, with what it said last.
        """
        if self._process.poll() is not None:
            reason = f"ended by itself ({self._log}):\n{self.log[-2_000:]}"
            raise LabError(reason)

    def cpu_s(self) -> float:
        """Return the CPU seconds that it used so far, user and system."""
        used = self._usage.cpu_times()
        return float(used.user + used.system)

    def rss_mb(self) -> float:
        """Return the memory that it holds, in megabytes."""
        return float(self._usage.memory_info().rss) / 2**20

    def wait(self) -> int:
        """Return its exit code, once it has ended."""
        return self._process.wait(STOP_WITHIN_S)

    def stop(self) -> None:
        """End it: politely, then by force."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """One broker and one folder for everything that a run of the benchmarks leaves."""

    bootstrap: str
    folder: Path
    env: Mapping[str, str]
    """For every process; no setting of penstock is in it."""
    broker: psutil.Process | None = None
    """None where it is somebody else's."""
    _numbers: Iterator[int] = field(default_factory=count)

    def fresh(self, name: str) -> str:
        """Return a name for topics and folders that nobody used before."""
        return f"{name}-{next(self._numbers):03}"

    def broker_cpu_s(self) -> float:
        """Return the CPU seconds that the broker used so far, 0 if nobody can tell."""
        if self.broker is None:
            return 0.0
        used = self.broker.cpu_times()
        return float(used.user + used.system)

    def make_topics(self, *names: str, compact: bool = False) -> None:
        """Create topics of eight partitions."""
        config = {"cleanup.policy": "compact" if compact else "delete"}
        admin = self._admin()  # one that is let go of takes its futures along
        made = admin.create_topics(
            [
                NewTopic(n, PARTITIONS, replication_factor=1, config=config)
                for n in names
            ]
        )
        for future in made.values():
            future.result(ADMIN_WITHIN_S)

    def stamp_at_broker(self, topic: str) -> None:
        """Have the broker stamp the records of *topic* when it appends them.

        Producers stamp as they like: Quix Streams copies the request's moment.
        """
        entry = ConfigEntry(
            "message.timestamp.type",
            "LogAppendTime",
            incremental_operation=AlterConfigOpType.SET,
        )
        resource = ConfigResource(
            ResourceType.TOPIC, topic, incremental_configs=[entry]
        )
        admin = self._admin()
        altered = admin.incremental_alter_configs([resource])
        for future in altered.values():
            future.result(ADMIN_WITHIN_S)

    def remove_topics(self, beginning: str) -> None:
        """Delete every topic whose name begins so; disks are finite."""
        admin = self._admin()
        names = admin.list_topics(timeout=ADMIN_WITHIN_S).topics
        gone = [name for name in names if name.startswith(beginning)]
        for future in (admin.delete_topics(gone) if gone else {}).values():
            future.result(ADMIN_WITHIN_S)

    def fill(self, topic: str, records: Iterable[Record]) -> int:
        """Produce *records* as an ordinary client does; return how many they were."""
        producer = self.producer(linger_ms=20)
        number = 0
        for number, (key, value) in enumerate(records, 1):
            while True:
                try:
                    producer.produce(topic, key=key, value=value)
                    break
                except BufferError:
                    producer.poll(0.1)
            if not number % 1_000:
                producer.poll(0)
        producer.flush()
        return number

    def producer(self, *, linger_ms: int) -> Producer:
        """Return a client that partitions as Java's does, and as penstock wants."""
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": linger_ms,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 100_000,
            }
        )

    @contextmanager
    def running(self, name: str, start: Start) -> Iterator[Running]:
        """Run a contender for the length of a block."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - our own command lines
                start.command,
                env={**self.env, **start.env},
                cwd=start.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        running = Running(process, log)
        try:
            yield running
        finally:
            running.stop()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})


def events(log: str, name: str) -> list[dict[str, object]]:
    """Return the lines of a JSON *log* whose event is *name*."""
    found = []
    for line in log.splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            if event.get("event") == name:
                found.append(event)
    return found
