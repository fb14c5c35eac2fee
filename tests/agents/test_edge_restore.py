"""Restore: a store is what its changelog stands for, or it is rebuilt, loudly."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    OffsetOutOfRangeError,
)

from agents import restore as module
from agents.ledger import HOUR_MS, LedgerEntry, LedgerStore
from agents.restore import (
    ALONE_RECORDS,
    FLUSH_S,
    SLICE_RECORDS,
    STALE_MS,
    TELL_EVERY_S,
    ChangelogGoneError,
    ChangelogTrimmedError,
    ChangelogUnmarkedError,
    NotWantedError,
    Restorer,
    Shelf,
    changelog,
    changelog_reader,
    private_consumer,
)
from agents.tables import (
    CHANGELOG_ID,
    HALF_FILLED,
    LEDGER,
    SESSIONS,
    DiskFullError,
    Engine,
    KeyStore,
    StoreMark,
)
from streams.clock import ManualClock

GROUP = "penstock-main"
FORMAT = b"\x01"
ME, OTHER = b"i" * 16, b"j" * 16


@dataclass
class Log:
    """One changelog partition; None stands for what no reader sees."""

    rows: list[tuple[bytes, bytes | None] | None] = field(default_factory=list)
    begin: int = 0

    @property
    def end(self) -> int:
        return len(self.rows)


class FakeClient:
    async def close(self) -> None:
        """Nothing is connected."""


class FakeConsumer:
    """A consumer of such logs that hands out a few records at a time."""

    batch = 3

    def __init__(
        self,
        logs: dict[TopicPartition, Log],
        between: Callable[["FakeConsumer"], None],
    ) -> None:
        """Have *between* called whenever records are asked for."""
        self.logs = logs
        self.between = between
        self.at: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.asked: list[int] = []
        self.stopped = False
        self._client = FakeClient()

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        self.at = dict.fromkeys(tps, 0)
        self.paused = set()

    async def beginning_offsets(self, tps):
        if not self.logs.keys() >= set(tps):
            raise KafkaTimeoutError
        return {tp: self.logs[tp].begin for tp in tps}

    async def end_offsets(self, tps):
        return {tp: self.logs[tp].end for tp in tps}

    def seek(self, tp, offset) -> None:
        assert offset >= self.logs[tp].begin
        self.at[tp] = offset

    def pause(self, *tps) -> None:
        self.paused |= set(tps)

    async def position(self, tp) -> int:
        return self.at[tp]

    async def getmany(self, *tps, timeout_ms, max_records):
        self.asked.append(max_records)
        self.between(self)
        fetched = {}
        for tp in tps or self.at.keys() - self.paused:
            log, at = self.logs.get(tp, Log()), self.at[tp]
            if at < log.begin:
                raise OffsetOutOfRangeError({tp: at})
            following = min(at + min(self.batch, max_records), log.end)
            batch = [row for row in log.rows[at:following] if row is not None]
            self.at[tp] = following
            if batch:
                fetched[tp] = batch
        return fetched


class Bench:
    """A worker's shelf with two tables, and their changelogs."""

    def __init__(self, folder, monkeypatch) -> None:
        self.engine = Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)
        self.clock = ManualClock()
        self.logs = {
            TopicPartition(changelog(GROUP, table), 0): Log(
                [(CHANGELOG_ID, FORMAT + ME)]
            )
            for table in (SESSIONS, LEDGER)
        }
        self.sessions = self.logs[TopicPartition(changelog(GROUP, SESSIONS), 0)]
        self.ledger = self.logs[TopicPartition(changelog(GROUP, LEDGER), 0)]
        self.folder = folder
        self.consumers: list[FakeConsumer] = []
        self.between: Callable[[FakeConsumer], None] = lambda _: None
        self.serves = True
        monkeypatch.setattr(module, "changelog_reader", self.consumer)
        monkeypatch.setattr(module, "topic_ids", self.topic_ids)
        self.shelf = self.new_shelf()

    def consumer(self, _bootstrap: str) -> FakeConsumer:
        self.consumers.append(FakeConsumer(self.logs, self.between))
        return self.consumers[-1]

    async def topic_ids(self, _bootstrap: str, topics: Iterable[str]):
        known = {tp.topic for tp in self.logs}
        return {topic: "an id" for topic in topics if topic in known}

    def new_shelf(self) -> Shelf:
        return Shelf(
            folder=self.folder,
            openers={
                SESSIONS: lambda path: KeyStore(self.engine, path),
                LEDGER: lambda path: LedgerStore(
                    self.engine,
                    path,
                    window_s=3_600,
                    max_entries=100,
                    on_shortened=lambda _: None,
                ),
            },
        )

    async def restore(self, *, accept_loss: bool = False):
        return await self.restorer(accept_loss=accept_loss).restore([0])

    def restorer(self, *, accept_loss: bool = False) -> Restorer:
        return Restorer(
            "",
            GROUP,
            self.shelf,
            self.clock,
            accept_loss=accept_loss,
            serving=lambda: self.serves,
        )

    def trim_after(self, log: Log, asked: int, begin: int) -> None:
        """Have *log* lose its beginning once records were asked for so often."""

        def between(consumer: FakeConsumer) -> None:
            if len(consumer.asked) > asked:
                log.begin = max(log.begin, begin)

        self.between = between

    def restart(self, *, away_ms: int = 0) -> None:
        self.shelf.close_partition(0)
        self.shelf = self.new_shelf()
        self.clock.at_ms += away_ms

    def table(self) -> dict[bytes, bytes]:
        return dict(self.shelf.stores[SESSIONS, 0].scan())

    @property
    def mark(self) -> StoreMark:
        return self.shelf.stores[SESSIONS, 0].mark


@pytest.fixture
def bench(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch)
    yield bench
    bench.shelf.close_partition(0)


async def test_a_store_is_its_changelog_folded(bench):
    rows = [(b"a", b"1"), (b"b", b"2"), None, (b"a", b"3"), (b"b", None), (b"c", b"4")]
    bench.sessions.rows += rows
    restored = await bench.restore()
    assert bench.table() == {b"a": b"3", b"c": b"4"}
    assert bench.mark == StoreMark(
        next=7, seen_ms=bench.clock.now_ms(), changelog_id=ME
    )
    assert restored.records == 7  # with the two identities, without the marker
    assert bench.consumers[0].stopped


async def test_an_empty_changelog_makes_an_empty_store(bench):
    await bench.restore()
    assert bench.table() == {}
    assert bench.mark.next == 1


async def test_markers_at_the_end_do_not_keep_a_restore_waiting(bench):
    bench.sessions.rows += [(b"a", b"1"), None, None, None, None, None]
    await bench.restore()
    assert bench.mark.next == 7


async def test_a_second_restore_reads_the_tail_only(bench):
    bench.sessions.rows += [(b"a", b"1")]
    await bench.restore()
    bench.restart()
    bench.sessions.rows += [(b"a", b"2"), (b"b", b"1")]
    restored = await bench.restore()
    assert restored.records == 2
    assert bench.table() == {b"a": b"2", b"b": b"1"}


async def test_a_catch_up_with_nothing_new_reads_nothing(bench):
    bench.sessions.rows += [(b"a", b"1")]
    await bench.restore()
    bench.clock.advance(5)
    assert (await bench.restore()).records == 0
    assert bench.mark.seen_ms == bench.clock.now_ms()


async def test_a_restore_gives_way_after_each_slice(bench):
    bench.sessions.rows += [(b"%d" % i, b"1") for i in range(300)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    seen: list[int] = []

    def note(_read: int, _left: int) -> None:
        seen.append(turns)

    restorer = Restorer(
        "", GROUP, bench.shelf, bench.clock, accept_loss=False, on_progress=note
    )
    await restorer.restore([0])
    task.cancel()
    slices = seen[1:-1]
    assert len(slices) >= 100
    assert len(set(slices)) == len(slices)


async def test_progress_ends_with_nothing_left_whatever_happens(bench):
    bench.sessions.rows += [(b"%d" % i, b"1") for i in range(10)]
    told: list[tuple[int, int]] = []
    restorer = Restorer(
        "",
        GROUP,
        bench.shelf,
        bench.clock,
        accept_loss=False,
        on_progress=lambda read, left: told.append((read, left)),
    )
    restored = await restorer.restore([0])
    assert told[0] == (0, 12)
    assert sum(read for read, _ in told) == restored.records == 12
    assert [left for _, left in told] == sorted((n for _, n in told), reverse=True)
    bench.shelf.rebuild(SESSIONS, 0, "a test")
    bench.sessions.begin = 2
    told.clear()
    with pytest.raises(ChangelogTrimmedError):
        await restorer.restore([0])
    assert told == [(0, 0)]


async def test_a_restore_for_somebody_else_ends_and_keeps_what_it_read(bench):
    bench.sessions.rows += [(b"%02d" % i, b"1") for i in range(30)]
    still = iter([True] * 5 + [False])
    restorer = Restorer("", GROUP, bench.shelf, bench.clock, accept_loss=False)
    with pytest.raises(NotWantedError):
        await restorer.restore([0], lambda: next(still))
    read = len(bench.table())
    assert 0 < read < 30
    assert (await bench.restore()).records <= 32 - read
    assert len(bench.table()) == 30


@pytest.fixture
def loads(monkeypatch):
    """Have short changelogs loaded without a log, as long ones are."""
    monkeypatch.setattr(module, "LOAD_OFFSETS", 10)


@pytest.mark.usefixtures("loads")
async def test_a_new_store_of_a_long_changelog_is_loaded(bench, monkeypatch):
    loaded = note_loads(monkeypatch)
    bench.sessions.rows += [(b"%02d" % i, b"1") for i in range(30)]
    await bench.restore()
    assert loaded == {SESSIONS}
    assert (bench.mark.next, len(bench.table())) == (31, 30)
    bench.sessions.rows += [(b"%02d" % i, b"2") for i in range(30)]
    loaded.clear()
    # What a store has is worth a log: a crash must not cost it.
    await bench.restore()
    assert not loaded
    assert set(bench.table().values()) == {b"2"}


@pytest.mark.usefixtures("loads")
async def test_a_ledger_is_loaded_as_well(bench, monkeypatch):
    loaded = note_loads(monkeypatch)
    entry = LedgerEntry(at_ms=bench.clock.now_ms(), topic="t", partition=0, offset=1)
    old = LedgerEntry(at_ms=1, topic="t", partition=0, offset=1)
    bench.ledger.rows += [(b"%02d" % i, entry.pack()) for i in range(30)]
    bench.ledger.rows += [(b"old", old.pack())]
    await bench.restore()
    assert loaded == {LEDGER}
    ledger = bench.shelf.stores[LEDGER, 0]
    assert ledger.mark.next == 32
    assert sorted(key for key, _ in ledger.scan()) == [b"%02d" % i for i in range(30)]


@pytest.mark.usefixtures("loads")
async def test_a_store_that_a_crash_left_half_filled_is_rebuilt(bench):
    bench.sessions.rows += [(b"%02d" % i, b"1") for i in range(30)]
    bench.shelf.open(SESSIONS, 0).load([(b"ghost", b"1")], 0)
    bench.restart()
    with structlog.testing.capture_logs() as logs:
        await bench.restore()
    (wiped,) = [line for line in logs if line["event"] == "store.wiped"]
    assert wiped["reason"] == "a crash cut its restore short"
    assert sorted(bench.table()) == [b"%02d" % i for i in range(30)]


@pytest.mark.usefixtures("loads")
async def test_a_load_for_somebody_else_ends_and_keeps_what_it_read(bench):
    bench.sessions.rows += [(b"%02d" % i, b"1") for i in range(30)]
    still = iter([True] * 5 + [False])
    with pytest.raises(NotWantedError):
        await bench.restorer().restore([0], lambda: next(still))
    read = len(bench.table())
    assert (bench.mark.next, bench.mark.changelog_id) == (read + 1, ME)
    assert 0 < read < 30
    assert (await bench.restore()).records <= 32 - read
    assert len(bench.table()) == 30


@pytest.mark.usefixtures("loads")
async def test_a_load_that_the_disk_takes_not_is_rebuilt_when_there_is_space(
    bench, monkeypatch
):
    bench.sessions.rows += [(b"%02d" % i, b"1") for i in range(30)]

    def full(*_args: object) -> None:
        raise DiskFullError(bench.folder, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(KeyStore, "flush", full)
        patch.setattr(KeyStore, "apply", full)
        with pytest.raises(DiskFullError):
            await bench.restore()
    assert bench.mark == HALF_FILLED
    await bench.restore()
    assert (bench.mark.next, len(bench.table())) == (31, 30)


@pytest.mark.usefixtures("loads")
async def test_a_flush_without_end_is_not_waited_for_behind_the_loops_back(
    bench, monkeypatch
):
    bench.sessions.rows += [(b"%02d" % i, b"1") for i in range(30)]
    monkeypatch.setattr(KeyStore, "flushing", True)
    monkeypatch.setattr(module, "FLUSH_LOOK_S", 0)
    began_s = bench.clock.monotonic_s()
    ticking = asyncio.create_task(tick(bench.clock))
    await bench.restore()
    ticking.cancel()
    assert bench.clock.monotonic_s() - began_s >= FLUSH_S
    assert bench.mark.next == 31


async def tick(clock: ManualClock) -> None:
    while True:
        clock.advance(0.1)
        await asyncio.sleep(0)


def note_loads(monkeypatch) -> set[str]:
    """Return the tables whose stores are loaded, as they come."""
    loaded: set[str] = set()
    for table, kind in ((SESSIONS, KeyStore), (LEDGER, LedgerStore)):

        def load(store, changes, seen_ms, *, table=table, real=kind.load):
            loaded.add(table)
            real(store, changes, seen_ms)

        monkeypatch.setattr(kind, "load", load)
    return loaded


async def test_nothing_to_restore_asks_nobody(bench):
    restorer = Restorer("", GROUP, bench.shelf, bench.clock, accept_loss=False)
    assert (await restorer.restore([])).records == 0
    assert bench.consumers == []


async def filled(bench) -> None:
    """Restore a store, and leave a key in it that only wiping removes."""
    bench.sessions.rows += [(b"a", b"1")]
    await bench.restore()
    bench.shelf.stores[SESSIONS, 0].apply([(b"ghost", b"1")], bench.mark)


async def test_a_store_that_can_be_trusted_is_kept(bench):
    await filled(bench)
    bench.restart(away_ms=STALE_MS)
    await bench.restore()
    assert b"ghost" in bench.table()


async def test_a_store_that_was_away_for_too_long_is_rebuilt(bench):
    await filled(bench)
    bench.restart(away_ms=STALE_MS + 1)
    await bench.restore()
    assert bench.table() == {b"a": b"1"}


async def test_a_store_of_another_changelog_is_rebuilt(bench):
    await filled(bench)
    bench.restart()
    bench.sessions.rows[:] = [(CHANGELOG_ID, FORMAT + OTHER), (b"z", b"9"), None]
    await bench.restore()
    assert bench.table() == {b"z": b"9"}
    assert bench.mark.changelog_id == OTHER


async def test_a_store_ahead_of_its_changelog_is_rebuilt(bench):
    await filled(bench)
    bench.restart()
    bench.sessions.rows.pop()
    await bench.restore()
    assert bench.table() == {}


async def test_a_wiped_store_is_filled_again(bench):
    await filled(bench)
    bench.shelf.rebuild(SESSIONS, 0, "a test")
    await bench.restore()
    assert bench.table() == {b"a": b"1"}


async def test_a_store_in_use_is_never_replaced_under_its_task(bench):
    # Nothing was written for days, and a commit is in doubt: the task catches up.
    await filled(bench)
    store = bench.shelf.stores[SESSIONS, 0]
    bench.clock.at_ms += STALE_MS + 1
    await bench.restorer().catch_up(0)
    assert bench.shelf.stores[SESSIONS, 0] is store
    assert b"ghost" in bench.table()


async def test_a_changelog_without_an_identity_stops_the_worker(bench):
    bench.sessions.rows[:] = [(b"a", b"1")]
    with pytest.raises(ChangelogUnmarkedError, match="penstock topics apply"):
        await bench.restore()
    assert bench.consumers[0].stopped


async def test_a_changelog_that_is_empty_has_no_identity(bench):
    bench.sessions.rows.clear()
    with pytest.raises(ChangelogUnmarkedError):
        await bench.restore()


async def test_a_changelog_that_lost_its_beginning_stops_the_worker(bench):
    bench.sessions.rows += [(b"a", b"1"), (b"b", b"2")]
    bench.sessions.begin = 2
    with pytest.raises(ChangelogTrimmedError, match="PENSTOCK_ACCEPT_LOSS"):
        await bench.restore()


async def test_who_accepts_the_loss_gets_what_is_left(bench):
    await filled(bench)
    bench.restart()
    bench.sessions.rows += [(b"b", b"2"), (b"c", b"3")]
    bench.sessions.begin = 3
    await bench.restore(accept_loss=True)
    assert bench.table() == {b"c": b"3"}


async def test_a_store_beyond_a_lost_beginning_lost_nothing(bench):
    await filled(bench)
    bench.restart()
    bench.sessions.rows += [(b"b", b"2")]
    bench.sessions.begin = 2
    await bench.restore()
    assert bench.table() == {b"a": b"1", b"ghost": b"1", b"b": b"2"}


async def test_a_changelog_that_loses_records_while_it_is_read_stops_the_worker(bench):
    bench.sessions.rows += [(b"%d" % i, b"1") for i in range(30)]
    bench.trim_after(bench.sessions, asked=4, begin=25)
    where = rf"{GROUP}-sessions-changelog\[0\] begins at offset 25"
    with pytest.raises(ChangelogTrimmedError, match=where):
        await bench.restore()
    assert bench.consumers[0].stopped


async def test_who_accepts_that_loss_gets_what_is_left_and_nothing_older(bench):
    bench.sessions.rows += [(b"%d" % i, b"1") for i in range(30)]
    bench.trim_after(bench.sessions, asked=4, begin=25)
    await bench.restore(accept_loss=True)
    assert bench.table() == {b"%d" % i: b"1" for i in range(24, 30)}


async def test_a_store_that_is_rebuilt_needs_the_beginning_of_its_changelog(bench):
    # It had read on, so nothing was lost to it; now it is too old, and all is.
    await filled(bench)
    bench.restart(away_ms=STALE_MS + 1)
    bench.sessions.rows += [(b"b", b"2")]
    bench.sessions.begin = 2
    with pytest.raises(ChangelogTrimmedError):
        await bench.restore()
    await bench.restore(accept_loss=True)
    assert bench.table() == {b"b": b"2"}


@pytest.mark.parametrize("accept_loss", [False, True])
async def test_a_store_in_use_that_missed_records_ends_its_task(bench, accept_loss):
    await filled(bench)
    bench.sessions.rows += [(b"b", b"2"), (b"c", b"3")]
    bench.sessions.begin = 3
    before = bench.mark
    with pytest.raises(ChangelogTrimmedError, match="begins at offset 3"):
        await bench.restorer(accept_loss=accept_loss).catch_up(0)
    assert bench.mark == before


async def test_a_changelog_that_is_deleted_while_it_is_read_is_named(bench):
    bench.sessions.rows += [(b"%d" % i, b"1") for i in range(30)]
    gone = TopicPartition(changelog(GROUP, SESSIONS), 0)

    def between(consumer: FakeConsumer) -> None:
        if len(consumer.asked) > 4:
            bench.logs.pop(gone, None)
            bench.clock.advance(1)

    bench.between = between
    with pytest.raises(ChangelogGoneError, match=gone.topic):
        await bench.restore()
    # And again where it is missing from the beginning on.
    with pytest.raises(ChangelogGoneError, match="penstock topics apply"):
        await bench.restore()


async def test_a_broker_that_is_away_is_waited_for_and_that_is_said(bench, monkeypatch):
    async def away(*_) -> None:
        raise KafkaTimeoutError

    monkeypatch.setattr(module, "topic_ids", away)
    bench.sessions.rows += [(b"%d" % i, b"1") for i in range(30)]

    def between(consumer: FakeConsumer) -> None:
        asked = len(consumer.asked)
        consumer.batch = 0 if 4 < asked < 24 else 3
        bench.clock.advance(1)

    bench.between = between
    with structlog.testing.capture_logs() as said:
        await bench.restore()
    assert len(bench.table()) == 30
    lines = [line for line in said if line["event"] == "restore.waiting"]
    assert len(lines) == 19 // int(TELL_EVERY_S)
    assert lines[0]["changelogs"] == [f"{GROUP}-sessions-changelog[0]"]
    assert lines[0]["left"] > 0


async def test_progress_is_logged_from_time_to_time_and_at_the_end(bench):
    bench.sessions.rows += [(b"%d" % i, b"1") for i in range(30)]
    bench.between = lambda _: bench.clock.advance(1)
    with structlog.testing.capture_logs() as said:
        await bench.restore()
    lines = [line for line in said if line["event"] == "restore.progress"]
    assert lines[0]["per_s"] > 0
    assert [line["left"] for line in lines] == sorted(
        (line["left"] for line in lines), reverse=True
    )
    assert len(lines) == 2
    [done] = [line for line in said if line["event"] == "restore.done"]
    assert done["records"] == 32
    assert done["reading_s"] <= done["seconds"]


@pytest.mark.parametrize("serves", [False, True])
async def test_slices_are_small_where_others_are_served(bench, serves):
    bench.serves = serves
    bench.sessions.rows += [(b"%d" % i, b"1") for i in range(10)]
    await bench.restore()
    assert bench.consumers[0].asked[-1] == (SLICE_RECORDS if serves else ALONE_RECORDS)


def answered(at_ms: int) -> bytes:
    return LedgerEntry(at_ms=at_ms, topic="t", partition=0, offset=0).pack()


async def test_a_ledgers_changelog_may_lose_its_beginning(bench):
    now_ms = bench.clock.now_ms()
    bench.ledger.rows += [
        (b"old", answered(now_ms - 9 * HOUR_MS)),
        (b"new", answered(now_ms)),
    ]
    bench.ledger.begin = 2
    await bench.restore()
    ledger = bench.shelf.stores[LEDGER, 0]
    assert ledger.get(b"new")
    assert ledger.mark.next == 3


async def test_a_ledgers_changelog_may_lose_its_beginning_while_it_is_read(bench):
    now_ms = bench.clock.now_ms()
    bench.ledger.rows += [(b"%d" % i, answered(now_ms)) for i in range(30)]
    bench.trim_after(bench.ledger, asked=4, begin=25)
    await bench.restore()
    ledger = bench.shelf.stores[LEDGER, 0]
    assert ledger.get(b"24")
    assert ledger.mark.next == 31
    bench.ledger.rows += [(b"later", answered(now_ms))] * 9
    bench.ledger.begin = 35
    await bench.restorer().catch_up(0)
    assert ledger.get(b"later")


async def test_a_ledger_that_was_away_for_long_is_kept_and_expires(bench):
    bench.ledger.rows.append((b"old", answered(bench.clock.now_ms())))
    await bench.restore()
    bench.restart(away_ms=2 * STALE_MS)
    bench.ledger.rows.append((b"new", answered(bench.clock.now_ms())))
    restored = await bench.restore()
    ledger = bench.shelf.stores[LEDGER, 0]
    assert ledger.get(b"old") is None
    assert ledger.get(b"new")
    assert restored.records < len(bench.ledger.rows) + len(bench.sessions.rows)


@pytest.mark.parametrize("reader", [changelog_reader, private_consumer])
async def test_a_broker_that_takes_a_connection_and_says_nothing_is_given_up(
    reader, monkeypatch
):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT_MS", 100)
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    host, port = silent.sockets[0].getsockname()
    consumer = reader(f"{host}:{port}")
    with pytest.raises(KafkaConnectionError):
        await asyncio.wait_for(consumer.start(), 20)
    await consumer.stop()
    silent.close()
