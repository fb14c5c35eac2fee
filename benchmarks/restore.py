"""Restore: how fast a worker without state reads its sessions back.

Beside it stand Faust's recovery and two lower bounds, which open no stores and connect
to nobody while their clock runs: they are compared with the reading alone.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, cast

import rocksdict
from aiokafka import TopicPartition
from aiokafka.record.memory_records import MemoryRecords

from agents.fetched_records import substitute
from agents.restore import private_consumer
from agents.tables import Engine
from benchmarks.contenders import HERE, STATE, Penstock
from benchmarks.lab import PARTITIONS, Lab, LabError, Record, Start, events
from benchmarks.measuring import Figures
from benchmarks.requests import tickets
from streams.session import Session, Turn

RECORD_CHARS: Final = 120
LOOK_EVERY_S: Final = 0.2
WITHIN_S: Final = 180.0
CACHE_BYTES: Final = 64 << 20
MEMTABLES_BYTES: Final = 32 << 20
"""Of both, the defaults of a worker."""


class Took(NamedTuple):
    """Seconds by the clock, and of CPU time of the thread that reads and writes."""

    wall_s: float
    cpu_s: float

    @classmethod
    def now(cls) -> Self:
        return cls(time.perf_counter(), time.thread_time())

    def since(self) -> "Took":
        """Return what went by since this moment."""
        now = Took.now()
        return Took(now.wall_s - self.wall_s, now.cpu_s - self.cpu_s)


def our_restore(lab: Lab, keys: int) -> tuple[Figures, Figures]:
    """Return how fast penstock restores a changelog of *keys* sessions.

    All of it, as an operator sees it: 32 stores are opened, and a consumer connects.
    And the reading alone, which is what grows with the keys.
    """
    start = Penstock(pipelines=STATE).start(lab)
    prefix = start.env["PENSTOCK_PREFIX"]
    lab.fill(f"{prefix}-main-sessions-changelog", _sessions(keys))
    done = _done(lab, prefix, start, "restore.done")
    records = _records(done, keys)
    reading = Took(float(str(done["reading_s"])), float(str(done["reading_cpu_s"])))
    return _figures(records, float(str(done["seconds"]))), _reading(records, reading)


def faust_restore(lab: Lab, keys: int, python: Path) -> Figures:
    """Return how fast Faust recovers a table of as many keys, values as large."""
    app = lab.fresh("faust")
    lab.make_topics(f"{app}.requests")
    lab.make_topics(f"{app}-sessions-changelog", compact=True)
    records = ((json.dumps(key), value[1:]) for key, value in _sessions(keys))
    lab.fill(f"{app}-sessions-changelog", records)
    script, folder = HERE / "peers" / "faust_recovery.py", lab.folder / app
    start = Start(
        command=(
            *(str(python), str(script), lab.bootstrap, app, f"{app}.requests"),
            *(str(keys), str(folder)),
        ),
        requests="",
        results="",
    )
    done = _done(lab, app, start, "restored")
    return _figures(_records(done, keys), float(str(done["seconds"])))


def parsing_and_writing(lab: Lab, keys: int) -> Figures:
    """Return how fast the same records go from memory into RocksDB, and no more.

    aiokafka's parser and one WriteBatch for each answer of the broker, into as many
    stores as a worker has: what no restore in this process can be faster than.
    """
    with _filled(lab, keys) as topic:
        answers = asyncio.run(_answers(lab.bootstrap, topic))
        with _stores(lab, topic) as stores:
            began = Took.now()
            # An answer has records of one partition.
            records = sum(map(_written, answers, cycle(stores)))
            return _reading(_records({"records": records}, keys), began.since())


def fetching_and_writing(lab: Lab, keys: int) -> Figures:
    """Return how fast an ordinary loop reads them: aiokafka's records, a WriteBatch."""
    with _filled(lab, keys) as topic, _stores(lab, topic) as stores:
        records, took = asyncio.run(_fetched(lab.bootstrap, topic, stores))
        return _reading(_records({"records": records}, keys), took)


@contextmanager
def _filled(lab: Lab, keys: int) -> Iterator[str]:
    """Have a topic with *keys* sessions for the length of a block."""
    name = lab.fresh("alone")
    lab.make_topics(name, compact=True)
    lab.fill(name, _sessions(keys))
    yield name
    lab.remove_topics(name)


@contextmanager
def _stores(lab: Lab, name: str) -> Iterator[Sequence[rocksdict.Rdict]]:
    """Have an empty store for each partition, with the options of a worker's."""
    engine = Engine(cache_bytes=CACHE_BYTES, write_buffer_bytes=MEMTABLES_BYTES)
    folder = lab.folder / name
    stores = [
        rocksdict.Rdict(str(folder / str(p)), engine.options())
        for p in range(PARTITIONS)
    ]
    yield stores
    for store in stores:
        store.close()


async def _fetched(
    bootstrap: str, topic: str, stores: Sequence[rocksdict.Rdict]
) -> tuple[int, Took]:
    """Read all of *topic* into *stores*; return how many records, in which time."""
    number, consumer = 0, private_consumer(bootstrap)
    await consumer.start()
    try:
        tps = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        began = Took.now()
        await consumer.seek_to_beginning(*tps)
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for tp, found in (await consumer.getmany(timeout_ms=200)).items():
                batch = rocksdict.WriteBatch(raw_mode=True)
                for record in found:
                    batch.put(record.key, record.value)
                stores[tp.partition].write(batch)
                number += len(found)
        return number, began.since()
    finally:
        await consumer.stop()


async def _answers(bootstrap: str, topic: str) -> Sequence[bytes]:
    """Return all of *topic* as the broker sends it, in as large pieces."""
    answers: list[bytes] = []

    def kept(answer: bytes) -> MemoryRecords:
        answers.append(answer)
        return MemoryRecords(answer)

    consumer = private_consumer(bootstrap)
    await consumer.start()
    try:
        substitute(consumer._fetcher, MemoryRecords=cast("Any", kept))  # noqa: SLF001 - no other way to the bytes
        tps = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning(*tps)
        left = {tp for tp in tps if ends[tp]}
        while left:
            await consumer.getmany(timeout_ms=200)
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()
    return answers


def _written(answer: bytes, db: rocksdict.Rdict) -> int:
    """Parse *answer* and write what it holds; return how many records that were."""
    parsed, batch = MemoryRecords(answer), rocksdict.WriteBatch(raw_mode=True)
    while parsed.has_next():
        records = parsed.next_batch()
        records.validate_crc()
        for record in records:
            batch.put(record.key, record.value)
    number = len(batch)
    db.write(batch)
    return number


def _done(lab: Lab, name: str, start: Start, event: str) -> Mapping[str, object]:
    """Return the first *event* in a contender's log."""
    with lab.running(name, start) as running:
        for _ in range(round(WITHIN_S / LOOK_EVERY_S)):
            running.require_alive()
            found = events(running.log, event)
            if found:
                break
            time.sleep(LOOK_EVERY_S)
        else:
            reason = f"nothing restored within {WITHIN_S:g} s"
            raise LabError(reason)
    lab.remove_topics(name)
    return found[0]


def _records(done: Mapping[str, object], keys: int) -> float:
    records = float(str(done["records"]))
    if records < keys:
        reason = f"restored {records:g} of {keys} records"
        raise LabError(reason)
    return records


def _reading(records: float, took: Took) -> Figures:
    return Figures(
        values={
            "per_cpu_s": records / took.cpu_s,
            "records_per_s": records / took.wall_s,
            "seconds": took.wall_s,
        }
    )


def _figures(records: float, seconds: float) -> Figures:
    return Figures(values={"records_per_s": records / seconds, "seconds": seconds})


def _sessions(keys: int) -> Iterator[Record]:
    for i, ticket in zip(range(keys), tickets(), strict=False):
        fields = {"ticket": ticket[:RECORD_CHARS]}
        turn = Turn(pipeline="bench", request_id=f"r{i}", at_ms=i, fields=fields)
        session = Session(session_id=f"s{i}", turns=1, updated_ms=i, history=(turn,))
        yield session.session_id, session.pack()
