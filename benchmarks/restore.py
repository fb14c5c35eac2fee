"""Restore: how fast a worker without state reads its sessions back."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

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
MEMTABLES_BYTES: Final = 64 << 20


def our_restore(lab: Lab, keys: int) -> Figures:
    """Return how fast penstock restores a changelog of *keys* sessions."""
    start = Penstock(pipelines=STATE).start(lab)
    prefix = start.env["PENSTOCK_PREFIX"]
    lab.fill(f"{prefix}-main-sessions-changelog", _sessions(keys))
    return _timed(lab, prefix, start, "tasks.restored", keys)


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
    return _timed(lab, app, start, "restored", keys)


def parsing_and_writing(lab: Lab, keys: int) -> Figures:
    """Return how fast the same records go from memory into RocksDB, and no more.

    aiokafka's parser and one WriteBatch for each answer of the broker: what no restore
    in this process can be faster than.
    """
    name = lab.fresh("alone")
    lab.make_topics(name, compact=True)
    lab.fill(name, _sessions(keys))
    answers = asyncio.run(_answers(lab.bootstrap, name))
    lab.remove_topics(name)
    engine = Engine(cache_bytes=MEMTABLES_BYTES, write_buffer_bytes=MEMTABLES_BYTES)
    db = rocksdict.Rdict(str(lab.folder / name), engine.options())
    began_s = time.perf_counter()
    records = sum(_written(answer, db) for answer in answers)
    seconds = time.perf_counter() - began_s
    db.close()
    if records != keys:
        reason = f"wrote {records} of {keys} records"
        raise LabError(reason)
    return Figures(values={"records_per_s": records / seconds, "seconds": seconds})


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


def _timed(lab: Lab, name: str, start: Start, event: str, keys: int) -> Figures:
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
    records, seconds = float(str(found[0]["records"])), float(str(found[0]["seconds"]))
    if records < keys:
        reason = f"restored {records:g} of {keys} records"
        raise LabError(reason)
    return Figures(values={"records_per_s": records / seconds, "seconds": seconds})


def _sessions(keys: int) -> Iterator[Record]:
    for i, ticket in zip(range(keys), tickets(), strict=False):
        fields = {"ticket": ticket[:RECORD_CHARS]}
        turn = Turn(pipeline="bench", request_id=f"r{i}", at_ms=i, fields=fields)
        session = Session(session_id=f"s{i}", turns=1, updated_ms=i, history=(turn,))
        yield session.session_id, session.pack()
