"""Restore: bring stores up to their changelogs before anybody reads them.

A private ``read_committed`` consumer reads each changelog from where its store left
off to the end that it had at the start, and writes batch-wise. It is not Faust's
recovery: that one reads record by record, and trusts stores that it should not.

It shares the loop with the tasks that serve on, so it reads in slices of a few
milliseconds, and gives way after each. Threads would not help: rocksdict and aiokafka's
parser keep the interpreter's lock.

A store is wiped and rebuilt, loudly, when it cannot be trusted: it is ahead of its
changelog, it was filled from another changelog, it was not seen for so long that
compaction may have removed the tombstones it missed, or RocksDB refuses its files.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec.structs import replace

from agents.bare_records import BareConsumer
from agents.failures import EdgeError
from agents.tables import (
    CHANGELOG_ID,
    LEDGER,
    Change,
    CorruptStoreError,
    Store,
    StoreMark,
    wipe,
)
from agents.topics import TOMBSTONES_S
from streams.clock import Clock

log = structlog.get_logger(__name__)

STALE_MS: Final = TOMBSTONES_S * 1_000 // 2
"""A store unseen for longer may hold keys whose tombstones are compacted away."""

FETCH_BYTES: Final = 4 << 20

SLICE_RECORDS: Final = 500
"""Two milliseconds of parsing and writing. Whoever else needs the loop waits for one
slice at each of its turns, a request for a dozen."""
SLICE_BYTES: Final = 256 << 10
"""The same where values are large."""
PARTITION_BYTES: Final = 1 << 20
"""Of one partition: what each of a hundred changelogs may have in memory."""
ANSWER_BYTES: Final = 4 << 20
"""Of all partitions: an answer is taken apart in one go."""
TELL_EVERY_S: Final = 5.0

StoreKey = tuple[str, int]
"""Table and partition."""


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


@dataclass(slots=True)
class _Progress:
    """How far a restore is: told after each slice, and logged from time to time."""

    left: int
    """Offsets. There may be fewer records: compaction and markers leave gaps."""
    tell: OnProgress
    clock: Clock
    records: int = 0
    began_s: float = field(init=False)
    logged_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.began_s = self.logged_s = self.clock.monotonic_s()
        self.tell(0, self.left)

    def went(self, records: int, offsets: int) -> None:
        """Note one slice."""
        self.records += records
        self.left -= offsets
        self.tell(records, self.left)
        now_s = self.clock.monotonic_s()
        if now_s - self.logged_s >= TELL_EVERY_S:
            self.logged_s = now_s
            per_s = round(self.records / (now_s - self.began_s))
            log.info(
                "restore.progress", records=self.records, left=self.left, per_s=per_s
            )


@dataclass(slots=True)
class _Reading:
    """One changelog partition on its way into its store."""

    store: Store
    at: int
    """The offset that is read next."""
    end: int
    changelog_id: bytes
    began_ms: int


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
    ) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._shelf = shelf
        self._clock = clock
        self._accept_loss = accept_loss
        self._on_progress = on_progress

    async def restore(self, partitions: Iterable[int]) -> Restored:
        """Open the stores of *partitions* and bring them up to their changelogs.

        Raises:
            ChangelogError: a changelog lost records, or has no identity.
            NewerStoreError: a newer penstock wrote a store.
            KafkaError: the broker cannot be reached.
        """
        began_s = self._clock.monotonic_s()
        wanted = self._changelogs(partitions)
        if not wanted:
            return Restored(records=0, seconds=0.0)
        for table, partition in wanted.values():
            # RocksDB opens in tens of milliseconds: not on the loop.
            await asyncio.to_thread(self._shelf.open, table, partition)
        records = await self._read(wanted, trust=False)
        return Restored(records=records, seconds=self._clock.monotonic_s() - began_s)

    async def catch_up(self, partition: int) -> None:
        """Bring the open stores of *partition* up to their changelogs.

        They were ours all along: nothing about them is to be doubted, and they are
        in use.

        Raises:
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
        self, wanted: Mapping[TopicPartition, StoreKey], *, trust: bool
    ) -> int:
        # Who catches up reads a few records; who restores has something to tell.
        tell = nobody if trust else self._on_progress
        consumer = changelog_reader(self._bootstrap)
        await consumer.start()
        try:
            readings = await self._readings(consumer, wanted, trust=trust)
            return await self._drain(consumer, readings, tell)
        finally:
            tell(0, 0)
            await consumer.stop()

    async def _readings(
        self, consumer: Any, wanted: Mapping[TopicPartition, StoreKey], *, trust: bool
    ) -> dict[TopicPartition, _Reading]:
        tps = list(wanted)
        consumer.assign(tps)
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        ids = {} if trust else await _identities(consumer, tps, begins, ends)
        readings: dict[TopicPartition, _Reading] = {}
        for tp, key in wanted.items():
            found = ids.get(tp, b"")
            store = self._shelf.stores[key]
            if not trust:
                store = await self._trusted(tp, key[0], begins[tp], ends[tp], found)
            at = max(store.mark.next, begins[tp])
            consumer.seek(tp, at)
            readings[tp] = _Reading(
                store=store,
                at=at,
                end=ends[tp],
                changelog_id=found or store.mark.changelog_id,
                began_ms=self._clock.now_ms(),
            )
        return readings

    async def _trusted(
        self, tp: TopicPartition, table: str, begin: int, end: int, found: bytes
    ) -> Store:
        """Return the store of *tp*, emptied first if it cannot be trusted."""
        store = self._shelf.stores[table, tp.partition]
        lossy = table == LEDGER  # its old records expire by design
        if begin > store.mark.next and not lossy and not self._accept_loss:
            raise ChangelogTrimmedError(tp.topic, tp.partition, begin)
        if not found and not begin:
            raise ChangelogUnmarkedError(tp.topic, tp.partition)
        reason = self._distrust(store.mark, begin, end, found, lossy=lossy)
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
            return f"it is at offset {mark.next}, its changelog ends at {end}"
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
    ) -> int:
        left = {tp for tp, r in readings.items() if r.at < r.end}
        for tp in readings.keys() - left:
            consumer.pause(tp)
            self._caught_up(readings[tp])
        offsets = sum(readings[tp].end - readings[tp].at for tp in left)
        progress = _Progress(left=offsets, tell=tell, clock=self._clock)
        while left:
            fetched = await consumer.getmany(timeout_ms=200, max_records=SLICE_RECORDS)
            for tp, batch in fetched.items():
                self._apply(readings[tp], batch)
            went = 0
            for tp in list(left):
                reading, position = readings[tp], await consumer.position(tp)
                went += min(position, reading.end) - reading.at
                reading.at = min(position, reading.end)
                if reading.at == reading.end:
                    consumer.pause(tp)
                    left.discard(tp)
                    self._caught_up(reading)
            progress.went(sum(map(len, fetched.values())), went)
            # No await above waits while records are at hand.
            await asyncio.sleep(0)
        return progress.records

    def _apply(self, reading: _Reading, batch: Sequence[Any]) -> None:
        changes: list[Change] = [
            (r.key, r.value) for r in batch if r.key != CHANGELOG_ID
        ]
        # Seen as of old until it has caught up: a restore that is cut short must not
        # look younger than the tombstones that it has yet to read.
        seen_ms = reading.store.mark.seen_ms or reading.began_ms
        following = batch[-1].offset + 1
        reading.store.apply(changes, self._mark(reading, following, seen_ms))

    def _caught_up(self, reading: _Reading) -> None:
        following = max(reading.end, reading.store.mark.next)
        mark = self._mark(reading, following, self._clock.now_ms())
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
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=PARTITION_BYTES,
        fetch_max_bytes=ANSWER_BYTES,
        fetch_max_wait_ms=100,
        slice_bytes=SLICE_BYTES,
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
    )


async def _identities(
    consumer: Any,
    tps: Sequence[TopicPartition],
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, bytes]:
    """Read the identity record, the first one of each changelog partition."""
    for tp in tps:
        consumer.seek(tp, begins[tp])
    left = {tp for tp in tps if begins[tp] < ends[tp]}
    found: dict[TopicPartition, bytes] = {}
    while left:
        fetched = await consumer.getmany(
            *left, timeout_ms=200, max_records=SLICE_RECORDS
        )
        for tp, batch in fetched.items():
            left.discard(tp)
            if batch[0].key == CHANGELOG_ID:
                found[tp] = batch[0].value[1:]
        for tp in list(left):
            # Only markers of aborted transactions between here and the end.
            if await consumer.position(tp) >= ends[tp]:
                left.discard(tp)
    return found
