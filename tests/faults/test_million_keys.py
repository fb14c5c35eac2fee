"""A changelog with a million keys moves to a worker that has other things to do."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from statistics import quantiles

import pytest
from confluent_kafka import Producer

from agents.restore import TELL_EVERY_S
from agents.routing import home_partition
from agents.store_files import reading
from agents.tables import SESSIONS
from streams.session import Session, Turn
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask, Lab
from tests.integration.processes import WorkerProcess
from tests.integration.reading import Tail
from tests.integration.texts import ECHO
from tests.integration.verdict import answered

KEYS = 1_000_000
QUIET_S = 10.0
EVERY_S = 0.04
"""Between two requests on the partitions that stay."""
LOOK_EVERY_S = 0.25
WITHIN_S = 120.0

GROWTH_BYTES = 256 << 20
"""What a restore may add to a worker: memtables, files that RocksDB compacts, and what
was fetched; not the table, which is as large and would grow with its keys."""
LATE_MS = 2_000
"""For a busy machine; a loop that is given back only at the end takes as long as the
restore."""

NUMBERS = count()


def session(i: int) -> bytes:
    """Return the state of the *i*-th session, of usual size."""
    turn = Turn(
        pipeline="echo", request_id=f"r{i}", at_ms=i, fields={"ticket": f"{i:0120}"}
    )
    return Session(session_id=f"k{i}", turns=i, updated_ms=i, history=(turn,)).pack()


def fill(lab: Lab, partition: int) -> None:
    producer = Producer(
        {"bootstrap.servers": lab.bootstrap, "linger.ms": 20, "log_level": 0}
    )
    topic = f"{lab.settings.group}-{SESSIONS}-changelog"
    for i in range(KEYS):
        while True:
            try:
                producer.produce(topic, session(i), f"k{i}", partition)
                break
            except BufferError:
                producer.poll(0.1)
        if not i % 1_000:
            producer.poll(0)
    assert not producer.flush(60)


@dataclass
class Beside:
    """Requests for partitions that stay, and what is seen of their worker."""

    lab: Lab
    worker: WorkerProcess
    results: Tail
    sessions: list[str]
    sent_ms: dict[str, int] = field(default_factory=dict)
    left: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)

    def ask(self) -> None:
        number = next(NUMBERS)
        name, key = f"r{number}", self.sessions[number % len(self.sessions)]
        self.sent_ms[name] = time.time_ns() // 1_000_000
        ask = Ask(request_id=name, session_id=key, inputs={"ticket": "x"})
        self.lab.send("echo", [ask])

    def look(self) -> None:
        self.left.append(self.worker.metric("penstock_restore_left"))
        self.rss.append(self.worker.rss_bytes())

    def load(self, within_s: float) -> Iterator[None]:
        """Ask at an even pace, and look now and then, for as long as one iterates."""
        begin_s, looked_s = time.perf_counter(), 0.0
        for tick in count(1):
            self.ask()
            now_s = time.perf_counter()
            if now_s - looked_s >= LOOK_EVERY_S:
                looked_s = now_s
                self.look()
                yield
            if now_s - begin_s > within_s:
                return
            time.sleep(max(0.0, begin_s + tick * EVERY_S - now_s))

    def took_ms(self) -> list[int]:
        """Return how long each answer took."""
        answered(self.results, len(self.sent_ms), within_s=30)
        decoded = [
            (self.lab.decode("echo", "results", seen)["request_id"], seen.timestamp_ms)
            for seen in self.results.all()
        ]
        return [at_ms - self.sent_ms[name] for name, at_ms in decoded]


def p99(took_ms: list[int]) -> int:
    return round(quantiles(took_ms, n=100)[98])


def two_workers(lab: Lab) -> tuple[WorkerProcess, WorkerProcess, set[int]]:
    """Start two; return them, and the partitions that the second one took over."""
    stays = lab.worker("stays").ready()
    leaves = lab.worker("leaves")
    eventually(
        lambda: (
            leaves.get("/readyz")[0] == 200
            and leaves.metric("penstock_tasks_live") > 0
            and stays.metric("penstock_tasks_live") < PARTITIONS
        ),
        within_s=60,
        what="both have tasks",
    )
    return stays, leaves, set(leaves.events("tasks.assigned")[-1]["fresh"])


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_changelog_of_a_million_keys_is_restored_beside_partitions_that_are_served(
    new_lab, figures
):
    lab = new_lab({"echo": ECHO})
    stays, leaves, moving = two_workers(lab)
    partition = min(moving)
    fill(lab, partition)
    kept = [
        key
        for key in (f"s{i}" for i in range(40))
        if home_partition(key, PARTITIONS) not in moving
    ]
    beside = Beside(lab, stays, lab.tail(lab.topic("echo", "results")), kept)
    for _ in beside.load(QUIET_S):
        pass
    quiet_ms = beside.took_ms()
    before = max(beside.rss)
    restores = len(stays.events("restore.done"))
    was = stays.metric("penstock_restored_total")

    leaves.send(signal.SIGTERM)
    for _ in beside.load(WITHIN_S):
        if len(stays.events("restore.done")) > restores:
            break
    assert leaves.wait(within_s=40) == 0
    done = stays.events("restore.done")[-1]
    took_ms = beside.took_ms()[len(quiet_ms) :]
    figures(
        keys=KEYS,
        reading_s=done["reading_s"],
        records_per_s=round(done["records"] / done["reading_s"]),
        rss_before_mb=before >> 20,
        rss_mb=max(beside.rss) >> 20,
        quiet_p99_ms=p99(quiet_ms),
        p99_ms=p99(took_ms),
        longest_ms=max(took_ms),
    )
    assert done["records"] >= KEYS
    assert stays.metric("penstock_restored_total") - was >= KEYS
    # It was seen on its way.
    left = [n for n in beside.left if n]
    assert len(set(left)) > 1
    assert left == sorted(left, reverse=True)
    assert stays.metric("penstock_restore_left") == 0
    told = len(stays.events("restore.progress"))
    assert told >= done["reading_s"] // TELL_EVERY_S - 1
    assert max(beside.rss) - before < GROWTH_BYTES
    assert p99(took_ms) < LATE_MS
    assert stays.terminate() == 0
    with reading(lab.state("stays") / SESSIONS / str(partition)) as files:
        found = {k: v for k, v in files.entries if k.startswith(b"k")}
    assert len(found) == KEYS
    assert all(found[b"k%d" % i] == session(i) for i in range(0, KEYS, 997))
