"""Restore: bring stores up to their changelogs before anybody reads them.

A private ``read_committed`` consumer reads each changelog from where its store left
off to the end that it had at the start, and writes batch-wise. It is not Faust's
recovery: that one reads record by record, and trusts stores that it should not.

It shares the loop with the tasks that serve on, so it reads in slices of a few
milliseconds, and gives way after each; a worker that serves nobody yet takes larger
ones. Threads would not help: rocksdict and aiokafka's parser keep the interpreter's
lock.

A changelog may lose records while it is read. Then everything is looked at again, as
at the start: what was lost is refused by name, or the ledger goes on behind it.

A store is wiped and rebuilt, loudly, when it cannot be trusted: it is ahead of its
changelog, it was filled from another changelog, it was not seen for so long that
compaction may have removed the tombstones it missed, a crash left it half filled, or
RocksDB refuses its files.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, OffsetOutOfRangeError
from msgspec.structs import replace

from agents.bare_records import BareConsumer, BareRecord
from agents.closing import started
from agents.failures import EdgeError
from agents.tables import (
    CHANGELOG_ID,
    HALF_FILLED,
    LEDGER,
    Change,
    CorruptStoreError,
    Store,
    StoreMark,
    wipe,
)
from agents.topic_ids import topic_ids
from agents.topics import TOMBSTONES_S
from streams.clock import Clock

log = structlog.get_logger(__name__)

STALE_MS: Final = TOMBSTONES_S * 1_000 // 2
"""A store unseen for longer may hold keys whose tombstones are compacted away."""

FETCH_BYTES: Final = 4 << 20

SLICE_RECORDS: Final = 500
"""A millisecond of parsing and writing. Whoever else needs the loop waits for one slice
at each of its turns, a request for a dozen."""
ALONE_RECORDS: Final = 5_000
"""The same where only probes wait: ten milliseconds."""
PARTITION_BYTES: Final = 1 << 20
"""Of one partition: what each of a hundred changelogs may have in memory."""
ANSWER_BYTES: Final = 4 << 20
"""Of all partitions in one answer, which is taken apart in one go."""
REQUEST_TIMEOUT_MS: Final = 10_000
"""For an answer of the broker. A connection that is half open never brings one, and
aiokafka's own 40 s, once to find out its version and once for its metadata, would hold
a task for longer than its health allows."""
WAIT_MS: Final = 20
"""For records. None come where markers are all that is left: a wait for nothing."""
TELL_EVERY_S: Final = 5.0
"""How a restore goes on, or that it does not."""
LOAD_OFFSETS: Final = 5_000
"""So many of a changelog fill a new store without a log: less is not worth a flush."""
FLUSH_S: Final = 5.0
"""For a flush behind the loop's back; one that takes longer holds the loop, and the
watchdog sees it."""
FLUSH_LOOK_S: Final = 0.005
"""How often it is looked whether such a flush is done: one takes some 15 ms."""

StoreKey = tuple[str, int]
"""Table and partition."""
_KEY: Final = itemgetter(0)


class ChangelogError(EdgeError):
    """A changelog cannot be what its stores were filled from."""

    code = "state.changelog"


class ChangelogTrimmedError(ChangelogError):
    """Records that nobody compacted are gone from the beginning of a changelog."""

    def __init__(self, topic: str, partition: int, begin: int) -> None:
        super().__init__(
            f"{topic}[{partition}] begins at offset {begin}: state before it is lost. "
            "Restore the topic, or go on without it: PENSTOCK_ACCEPT_LOSS=true"
        )


class ChangelogGoneError(ChangelogError):
    """A changelog topic was deleted."""

    def __init__(self, topics: Iterable[str]) -> None:
        super().__init__(
            f"{', '.join(sorted(topics))}: deleted, and the state in it is lost. "
            "Restore the topic, or make an empty one: `penstock topics apply`"
        )


class NotWantedError(Exception):
    """A restore was given up: its partitions are somebody else's now."""


class ChangelogUnmarkedError(ChangelogError):
    """A changelog has no identity record."""

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(
            f"{topic}[{partition}] has no identity record: run `penstock topics apply`"
        )


@dataclass(slots=True)
class Shelf:
    """The stores of a worker, by table and partition; it opens, rebuilds, closes."""

    folder: Path
    openers: Mapping[str, Callable[[Path], Store]]
    """How to open each table's stores."""
    stores: dict[StoreKey, Store] = field(default_factory=dict)

    def open(self, table: str, partition: int) -> Store:
        """Return the store, opened; one that RocksDB refuses is rebuilt."""
        key = (table, partition)
        if key not in self.stores:
            self.stores[key] = self._opened(table, partition)
        return self.stores[key]

    def _opened(self, table: str, partition: int) -> Store:
        try:
            return self._open(table, partition)
        except CorruptStoreError as error:
            path, reason = error.path, str(error)
        # Not inside the except: its traceback holds the refused files, and their lock.
        log.warning("store.corrupt", path=str(path), reason=reason)
        wipe(path)
        return self._open(table, partition)

    def rebuild(self, table: str, partition: int, reason: str) -> Store:
        """Replace a store by an empty one, loudly."""
        self.close(table, partition)
        path = self._path(table, partition)
        log.warning("store.wiped", path=str(path), reason=reason)
        wipe(path)
        return self.open(table, partition)

    def close(self, table: str, partition: int) -> None:
        """Close the store, if it is open."""
        store = self.stores.pop((table, partition), None)
        if store is not None:
            store.close()

    def close_partition(self, partition: int, *, seen_ms: int | None = None) -> None:
        """Close the stores of every table for *partition*.

        *seen_ms* is given where they were up to their changelogs until now: a table
        that nobody wrote for days is not stale for that.
        """
        for table in self.openers:
            store = self.stores.get((table, partition))
            if store is not None and seen_ms is not None:
                # A full disk costs a rebuild after days of absence, and no more.
                with suppress(EdgeError):
                    store.apply((), replace(store.mark, seen_ms=seen_ms))
            self.close(table, partition)

    def _open(self, table: str, partition: int) -> Store:
        return self.openers[table](self._path(table, partition))

    def _path(self, table: str, partition: int) -> Path:
        return self.folder / table / str(partition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did."""

    records: int
    seconds: float


OnProgress = Callable[[int, int], None]
"""Told after each slice: records that it read, changelog offsets left to read."""


def nobody(_read: int, _left: int) -> None:
    """Keep progress to oneself."""


def always() -> bool:
    """Assume so."""
    return True


@dataclass(slots=True)
class _Progress:
    """How far a restore is: told after each slice, and logged from time to time."""

    left: int
    """Offsets. There may be fewer records: compaction and markers leave gaps."""
    tell: OnProgress
    clock: Clock
    records: int = 0
    seconds: float = 0.0
    """What reading took, connecting apart; and of that the CPU time of this thread."""
    cpu_s: float = 0.0
    began_s: float = field(init=False)
    logged_s: float = field(init=False)
    moved_s: float = field(init=False)
    began_cpu_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.began_cpu_s = time.thread_time()
        self.began_s = self.logged_s = self.moved_s = self.clock.monotonic_s()
        self.tell(0, self.left)

    def done(self) -> None:
        """Note that everything is read."""
        self.seconds = self.clock.monotonic_s() - self.began_s
        self.cpu_s = time.thread_time() - self.began_cpu_s

    def went(self, records: int, offsets: int) -> None:
        """Note one slice."""
        self.records += records
        self.left -= offsets
        self.tell(records, self.left)
        self.moved_s = now_s = self.clock.monotonic_s()
        if now_s - self.logged_s >= TELL_EVERY_S:
            self.logged_s = now_s
            per_s = round(self.records / (now_s - self.began_s))
            log.info(
                "restore.progress", records=self.records, left=self.left, per_s=per_s
            )

    def stands(self) -> bool:
        """Say that nothing came for a while; the next time a while later."""
        now_s = self.clock.monotonic_s()
        if now_s - self.moved_s < TELL_EVERY_S:
            return False
        self.moved_s = now_s
        return True


@dataclass(slots=True)
class _Reading:
    """One changelog partition on its way into its store."""

    store: Store
    at: int
    """The offset that is read next."""
    end: int
    changelog_id: bytes
    began_ms: int
    first: Sequence[BareRecord] = ()
    """What was read of it already, from *at* on."""
    loads: bool = False
    """Whether it is written without a log: a crash costs this restore, and no more."""


class Restorer:
    """Reads changelogs into stores."""

    def __init__(  # noqa: PLR0913 - the composition root wires it, once
        self,
        bootstrap: str,
        group: str,
        shelf: Shelf,
        clock: Clock,
        *,
        accept_loss: bool,
        on_progress: OnProgress = nobody,
        serving: Callable[[], bool] = always,
    ) -> None:
        """*serving* says whether others wait for their turn on the loop."""
        self._bootstrap = bootstrap
        self._group = group
        self._shelf = shelf
        self._clock = clock
        self._accept_loss = accept_loss
        self._on_progress = on_progress
        self._serving = serving

    async def restore(
        self, partitions: Iterable[int], wanted: Callable[[], bool] = always
    ) -> Restored:
        """Open the stores of *partitions* and bring them up to their changelogs.

        *wanted* is asked after each slice; what was read until then is kept.

        Raises:
            NotWantedError: *wanted* says no: the partitions are somebody else's now.
            ChangelogError: a changelog lost records, has no identity, or is gone.
            NewerStoreError: a newer penstock wrote a store.
            KafkaError: the broker cannot be reached.
        """
        began_s = self._clock.monotonic_s()
        changelogs = self._changelogs(partitions)
        if not changelogs:
            return Restored(records=0, seconds=0.0)
        for table, partition in changelogs.values():
            # RocksDB opens in tens of milliseconds. A thread does not help who waits
            # for that one, rocksdict keeps the interpreter's lock; others go between.
            await asyncio.to_thread(self._shelf.open, table, partition)
        progress = await self._read(changelogs, trust=False, wanted=wanted)
        seconds = self._clock.monotonic_s() - began_s
        log.info(
            "restore.done",
            stores=len(changelogs),
            records=progress.records,
            seconds=round(seconds, 3),
            reading_s=round(progress.seconds, 3),
            reading_cpu_s=round(progress.cpu_s, 3),
        )
        return Restored(records=progress.records, seconds=seconds)

    async def catch_up(self, partition: int) -> None:
        """Bring the open stores of *partition* up to their changelogs.

        They were ours all along: nothing about them is to be doubted, and they are
        in use.

        Raises:
            ChangelogError: a changelog lost records that they lack, or is gone. No
                accepted loss helps here: the next start makes them anew.
            KafkaError: the broker cannot be reached.
        """
        await self._read(self._changelogs([partition]), trust=True)

    def _changelogs(self, partitions: Iterable[int]) -> dict[TopicPartition, StoreKey]:
        return {
            TopicPartition(changelog(self._group, table), p): (table, p)
            for table in self._shelf.openers
            for p in partitions
        }

    async def _read(
        self,
        changelogs: Mapping[TopicPartition, StoreKey],
        *,
        trust: bool,
        wanted: Callable[[], bool] = always,
    ) -> _Progress:
        # Who catches up reads a few records; who restores has something to tell.
        tell = nobody if trust else self._on_progress
        try:
            async with started(changelog_reader(self._bootstrap)) as consumer:
                while True:
                    try:
                        readings = await self._readings(
                            consumer, changelogs, trust=trust
                        )
                        return await self._drain(consumer, readings, tell, wanted)
                    except OffsetOutOfRangeError as error:
                        _say_out_of_range(error)
        finally:
            tell(0, 0)

    async def _readings(
        self,
        consumer: Any,
        changelogs: Mapping[TopicPartition, StoreKey],
        *,
        trust: bool,
    ) -> dict[TopicPartition, _Reading]:
        tps = list(changelogs)
        consumer.assign(tps)
        try:
            begins = await consumer.beginning_offsets(tps)
            ends = await consumer.end_offsets(tps)
        except KafkaTimeoutError:
            await self._require_topics(tps)
            raise
        firsts = {} if trust else await self._firsts(consumer, begins, ends)
        readings: dict[TopicPartition, _Reading] = {}
        for tp, key in changelogs.items():
            first = firsts.get(tp, ())
            found = _identity(first)
            store = self._shelf.stores[key]
            if not trust:
                store = await self._trusted(tp, key[0], begins[tp], ends[tp], found)
            elif begins[tp] > store.mark.next and key[0] != LEDGER:
                # Whatever may be lost: a store in use is not emptied under its task.
                raise ChangelogTrimmedError(tp.topic, tp.partition, begins[tp])
            at = max(store.mark.next, begins[tp])
            if at > begins[tp] or not first:
                first = ()
                consumer.seek(tp, at)
            readings[tp] = _Reading(
                store=store,
                at=at,
                end=ends[tp],
                changelog_id=found or store.mark.changelog_id,
                began_ms=self._clock.now_ms(),
                first=first,
                loads=store.mark == StoreMark() and ends[tp] - at >= LOAD_OFFSETS,
            )
        return readings

    async def _firsts(
        self,
        consumer: Any,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, Sequence[BareRecord]]:
        """Read the first records of each changelog partition; some have none."""
        for tp, begin in begins.items():
            consumer.seek(tp, begin)
        left = {tp for tp, begin in begins.items() if begin < ends[tp]}
        firsts: dict[TopicPartition, Sequence[BareRecord]] = {}
        progress = _Progress(left=len(left), tell=nobody, clock=self._clock)
        while left:
            fetched = await consumer.getmany(
                *left, timeout_ms=WAIT_MS, max_records=SLICE_RECORDS
            )
            firsts |= fetched
            left -= fetched.keys()
            # Only markers of aborted transactions between here and the end.
            left -= {tp for tp in left if await consumer.position(tp) >= ends[tp]}
            if not fetched and progress.stands():
                await self._look(progress, left)
        return firsts

    async def _trusted(
        self, tp: TopicPartition, table: str, begin: int, end: int, found: bytes
    ) -> Store:
        """Return the store of *tp*, emptied first if it cannot be trusted."""
        store = self._shelf.stores[table, tp.partition]
        lossy = table == LEDGER  # its old records expire by design
        if not found and not begin:
            raise ChangelogUnmarkedError(tp.topic, tp.partition)
        reason = self._distrust(store.mark, begin, end, found, lossy=lossy)
        # What is emptied is read from the very beginning.
        following = 0 if reason else store.mark.next
        if begin > following and not lossy and not self._accept_loss:
            raise ChangelogTrimmedError(tp.topic, tp.partition, begin)
        if reason:
            # Removing and opening files takes a while: not on the loop.
            store = await asyncio.to_thread(
                self._shelf.rebuild, table, tp.partition, reason
            )
        return store

    def _distrust(
        self, mark: StoreMark, begin: int, end: int, found: bytes, *, lossy: bool
    ) -> str:
        if mark == StoreMark():
            return ""
        if found and mark.changelog_id and mark.changelog_id != found:
            return "it was filled from another changelog"
        if mark.next > end:
            ahead = f"it is at offset {mark.next}, its changelog ends at {end}"
            return "a crash cut its restore short" if mark == HALF_FILLED else ahead
        if mark.next < begin and not lossy:
            return f"it is at offset {mark.next}, its changelog begins at {begin}"
        unseen_ms = self._clock.now_ms() - mark.seen_ms
        if unseen_ms > STALE_MS and not lossy:
            return f"it was not seen for {unseen_ms // 3_600_000} hours"
        return ""

    async def _drain(
        self,
        consumer: Any,
        readings: Mapping[TopicPartition, _Reading],
        tell: OnProgress,
        wanted: Callable[[], bool],
    ) -> _Progress:
        offsets = sum(max(r.end - r.at, 0) for r in readings.values())
        progress = _Progress(left=offsets, tell=tell, clock=self._clock)
        try:
            await self._read_up(consumer, readings, progress, wanted)
            for reading in readings.values():
                await self._caught_up(reading)
        except BaseException:
            for reading in readings.values():
                self._cut_short(reading)
            raise
        progress.done()
        return progress

    async def _read_up(
        self,
        consumer: Any,
        readings: Mapping[TopicPartition, _Reading],
        progress: _Progress,
        wanted: Callable[[], bool],
    ) -> None:
        left = {tp for tp, r in readings.items() if r.at < r.end}
        for tp in readings.keys() - left:
            consumer.pause(tp)
        fetched = {tp: r.first for tp, r in readings.items() if r.first}
        while left:
            if not wanted():
                raise NotWantedError
            went = 0
            # Where nothing came, markers may have been passed.
            for tp in fetched or list(left):
                reading, position = readings[tp], await consumer.position(tp)
                self._apply(reading, fetched.get(tp, ()), position)
                went += min(position, reading.end) - reading.at
                reading.at = min(position, reading.end)
                if reading.at == reading.end:
                    consumer.pause(tp)
                    left.discard(tp)
                    reading.store.flush()
            if fetched or went:
                progress.went(sum(map(len, fetched.values())), went)
            elif progress.stands():
                await self._look(progress, left)
            # No await here waits while records are at hand.
            await asyncio.sleep(0)
            fetched = await self._slice(consumer) if left else {}

    async def _slice(self, consumer: Any) -> dict[TopicPartition, Sequence[BareRecord]]:
        size = SLICE_RECORDS if self._serving() else ALONE_RECORDS
        fetched: dict[TopicPartition, Sequence[BareRecord]] = await consumer.getmany(
            timeout_ms=WAIT_MS, max_records=size
        )
        return fetched

    async def _look(self, progress: _Progress, left: Iterable[TopicPartition]) -> None:
        """Say that nothing comes; raise if nothing ever will."""
        log.warning(
            "restore.waiting",
            left=progress.left,
            changelogs=sorted(f"{tp.topic}[{tp.partition}]" for tp in left),
        )
        # A broker that is away does not know either: aiokafka goes on trying.
        with suppress(KafkaError, TimeoutError, OSError):
            await self._require_topics(left)

    async def _require_topics(self, tps: Iterable[TopicPartition]) -> None:
        topics = {tp.topic for tp in tps}
        if gone := topics - (await topic_ids(self._bootstrap, topics)).keys():
            raise ChangelogGoneError(gone)

    def _apply(
        self, reading: _Reading, records: Sequence[BareRecord], following: int
    ) -> None:
        if not records:
            return
        # Seen as of old until it has caught up: a restore that is cut short must not
        # look younger than the tombstones that it has yet to read.
        seen_ms = reading.store.mark.seen_ms or reading.began_ms
        changes = _changes(records)
        if reading.loads:
            reading.store.load(changes, seen_ms)
        else:
            reading.store.apply(changes, self._mark(reading, following, seen_ms))

    async def _caught_up(self, reading: _Reading) -> None:
        until_s = self._clock.monotonic_s() + FLUSH_S
        while reading.store.flushing and self._clock.monotonic_s() < until_s:  # noqa: ASYNC110 - RocksDB calls nobody
            await asyncio.sleep(FLUSH_LOOK_S)
        found = reading.store.mark
        # A store in use may have gone on meanwhile.
        following = (
            reading.end if found == HALF_FILLED else max(reading.end, found.next)
        )
        mark = self._mark(reading, following, self._clock.now_ms())
        reading.store.apply((), mark)

    def _cut_short(self, reading: _Reading) -> None:
        """Keep what was loaded until now; what cannot be kept is rebuilt."""
        if reading.store.mark == HALF_FILLED:
            mark = self._mark(reading, reading.at, reading.began_ms)
            with suppress(EdgeError):
                reading.store.apply((), mark)

    def _mark(self, reading: _Reading, following: int, seen_ms: int) -> StoreMark:
        return StoreMark(
            next=following, seen_ms=seen_ms, changelog_id=reading.changelog_id
        )


def changelog(group: str, table: str) -> str:
    """Return the name of the changelog topic of *table*."""
    return f"{group}-{table}-changelog"


def changelog_reader(bootstrap: str) -> BareConsumer:
    """Return a consumer of bare records, as frugal with memory as with time."""
    return BareConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        # Any other policy would skip in silence what is trimmed while we read.
        auto_offset_reset="none",
        max_partition_fetch_bytes=PARTITION_BYTES,
        fetch_max_bytes=ANSWER_BYTES,
        fetch_max_wait_ms=100,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )


def private_consumer(bootstrap: str) -> AIOKafkaConsumer:
    """Return a consumer of committed records that belongs to no group."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=100,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )


def _say_out_of_range(error: OffsetOutOfRangeError) -> None:
    at = {f"{tp.topic}[{tp.partition}]": n for tp, n in error.args[0].items()}
    log.warning("restore.out_of_range", at=at)


def _changes(records: Sequence[BareRecord]) -> Iterable[Change]:
    """Return *records* without the identity, which only the first ones have."""
    # Without it, which is nearly always, nothing is looked at in Python.
    if CHANGELOG_ID in map(_KEY, records):
        return [r for r in records if r[0] != CHANGELOG_ID]
    return records


def _identity(first: Sequence[BareRecord]) -> bytes:
    """Return what the first record of a changelog says, if it is the identity."""
    if first and first[0][0] == CHANGELOG_ID:
        return (first[0][1] or b"")[1:]
    return b""
