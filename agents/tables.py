"""Tables: their names, and the RocksDB stores that hold one partition of one each.

A store is written after the transaction that made its writes true, never before: it
may lag behind its changelog, and never leads. Every batch carries the changelog
position behind it, so a restart reads the tail only; those that fill a new store do
not, and need no log either (docs/decisions/0026-loading.md).
"""

import shutil
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import rocksdict
from msgspec import Struct

from agents.failures import EdgeError

SESSIONS: Final = "sessions"
LEDGER: Final = "ledger"
JOURNAL: Final = "journal"
TASKS: Final = "tasks"

TABLES: Final = (SESSIONS, LEDGER, JOURNAL, TASKS)
"""Every table of an app. Each has a changelog ``<group>-<table>-changelog``."""

CHANGELOG_ID: Final = b"\0id"
"""Key of the UUID record that `topics apply` writes into each changelog partition.
No table key begins with a zero byte."""

FORMAT: Final = 1
"""Of the store's own layout. A store in a newer one stops the worker."""

META: Final = "meta"
"""Column family of a store's mark; no table has it."""
_UNFLUSHED: Final = "rocksdb.num-immutable-mem-table"
_FAILED: Final = "rocksdb.background-errors"
_WRITE_BUFFER_BYTES: Final = 8 << 20
"""Per memtable; what all memtables together may take is a setting."""
_ARENA_BLOCK_BYTES: Final = 32 << 10
"""What a memtable takes at a time. RocksDB's own choice, an eighth of a memtable, makes
24 partitions with 4 tables hold 400 MiB by its count, of which next to nothing is
used: the budget is always spent, and every other write flushes."""
_OPEN_FILES: Final = 64
"""Per store; 24 partitions with 4 tables each stay below 8,192 descriptors."""

Change = tuple[bytes, bytes | None]
"""Key and value of one table write; a value of None is a tombstone."""


class CorruptStoreError(EdgeError):
    """RocksDB refuses a store's files; its changelog can rebuild them."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class NewerStoreError(EdgeError):
    """A newer version of penstock wrote this store; wiping it would hide that."""

    code = "state.newer"

    def __init__(self, path: Path, found: int) -> None:
        super().__init__(
            f"{path}: store format {found}, this version knows {FORMAT}; "
            "run the newer version, or remove the folder to rebuild it"
        )


class DiskFullError(EdgeError):
    """RocksDB cannot write; the worker stops before it commits more."""

    code = "state.disk"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}; free disk space, then start again")


class UnreadableStoreError(EdgeError):
    """RocksDB cannot read what it has. The worker stops: no request is to blame."""

    code = "state.unreadable"

    def __init__(self, path: Path, reason: str, *, damaged: bool) -> None:
        cure = (
            "the next start rebuilds it from its changelog"
            if damaged
            else "check the disk, then start again"
        )
        super().__init__(f"{path}: {reason}; {cure}")


class StoreMark(Struct, frozen=True, kw_only=True):
    """What a store knows about itself."""

    next: int = 0
    """The changelog offset from which it has to read on."""
    seen_ms: int = 0
    """Wall time of its last write or caught-up restore; 0 for a new store."""
    changelog_id: bytes = b""
    """Of the changelog that it was filled from; empty for a new store."""


HALF_FILLED: Final = StoreMark(next=(1 << 64) - 1)
"""Of a store that is being loaded. It is ahead of any changelog, so that one which a
crash left like this is rebuilt, by older versions too."""


class Store(Protocol):
    """One partition of one table, on this worker's disk."""

    @property
    def mark(self) -> StoreMark: ...

    def get(self, key: bytes) -> bytes | None:
        """Return the committed value of *key*."""
        ...

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        """Return every key and value; meant for small tables and tools."""
        ...

    def apply(self, changes: Iterable[Change], mark: StoreMark) -> None:
        """Write *changes* and *mark* in one batch; what was loaded is kept before."""
        ...

    def load(self, changes: Iterable[Change], seen_ms: int) -> None:
        """Write *changes* into a store that was empty, for a fifth less CPU.

        There is no log of them: until the next `apply` the store is `HALF_FILLED`, and
        a crash costs it all. *seen_ms* is what its mark would have said.
        """
        ...

    def flush(self) -> None:
        """Begin to bring to the disk what was loaded: an `apply` waits less then."""
        ...

    @property
    def flushing(self) -> bool:
        """Say whether such a flush is under way; one that failed is not."""
        ...

    def close(self) -> None:
        """Close the files; the store may be opened again at once."""
        ...


class Engine:
    """What all stores of a worker share: one block cache, one memtable budget in it."""

    def __init__(self, *, cache_bytes: int, write_buffer_bytes: int) -> None:
        self._cache = rocksdict.Cache(cache_bytes)
        shared = rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache
        # Memtables push blocks out of the cache, so that there is one bound for both.
        # allow_stall=False: a full budget flushes early, it never blocks the loop.
        self._memtables = shared(write_buffer_bytes, False, self._cache)  # noqa: FBT003

    def options(self) -> rocksdict.Options:
        """Return options for one store or column family."""
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)  # noqa: FBT003 - rocksdict's setters
        options.create_missing_column_families(True)  # noqa: FBT003
        options.set_max_open_files(_OPEN_FILES)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_arena_block_size(_ARENA_BLOCK_BYTES)
        options.set_write_buffer_manager(self._memtables)
        options.set_keep_log_file_num(2)
        # Small WAL segments: what a killed worker leaves behind is read at open.
        options.set_max_total_wal_size(4 * _WRITE_BUFFER_BYTES)
        blocks = rocksdict.BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_bloom_filter(10, False)  # noqa: FBT003
        options.set_block_based_table_factory(blocks)
        return options

    def usage_bytes(self) -> Mapping[str, int]:
        """Return what the cache holds now, and the memtables, which are part of it."""
        return {
            "cache": self._cache.get_usage(),
            "memtables": self._memtables.get_usage(),
        }


class MarkedStore(ABC):
    """A database and the mark in it: what all kinds of store are."""

    def __init__(self, engine: Engine, path: Path) -> None:
        """Open *path*, or make it.

        Raises:
            CorruptStoreError: RocksDB refuses the files.
            NewerStoreError: a newer penstock wrote them.
        """
        self._path = path
        self._db, self._families = open_files(engine, path, {META})
        self._engine = engine
        self._meta = self._families.pop(META)
        self._meta_handle = self._db.get_column_family_handle(META)
        self._loaded = False
        try:
            self._mark = read_mark(self._meta, path)
        except EdgeError:
            self.close()
            raise

    @property
    def mark(self) -> StoreMark:
        return self._mark

    def apply(self, changes: Iterable[Change], mark: StoreMark) -> None:
        if self._loaded:
            # The log knows the mark and not what was loaded: that goes first.
            with writing(self._path):
                self._flush(wait=True)
            self._loaded = False
        batch = self._batch(changes, mark.seen_ms)
        put_mark(batch, mark, self._meta_handle)
        with writing(self._path):
            self._db.write(batch)
        self._mark = mark

    def load(self, changes: Iterable[Change], seen_ms: int) -> None:
        if not self._loaded:
            # Behind a mark that says so, and by which nothing expires.
            MarkedStore.apply(self, (), HALF_FILLED)
            self._loaded = True
        batch = self._batch(changes, seen_ms)
        with writing(self._path):
            self._db.write(batch, _no_log())

    def flush(self) -> None:
        if self._loaded:
            with writing(self._path):
                self._flush(wait=False)

    @property
    def flushing(self) -> bool:
        if not self._loaded or self._db.property_int_value(_FAILED):
            return False
        return any(f.property_int_value(_UNFLUSHED) for f in self._with_entries())

    def close(self) -> None:
        # Handles first: a family that outlives its database keeps the files locked.
        self._families.clear()
        del self._meta, self._meta_handle
        self._db.close()

    @abstractmethod
    def _batch(self, changes: Iterable[Change], seen_ms: int) -> Any:
        """Return *changes* as RocksDB takes them, without a mark."""

    def _flush(self, *, wait: bool) -> None:
        for family in self._with_entries():
            family.flush(wait)

    def _with_entries(self) -> Iterator[Any]:
        yield self._db
        yield from self._families.values()


class KeyStore(MarkedStore):
    """A plain store: the latest value of each key."""

    def get(self, key: bytes) -> bytes | None:
        with reading(self._path):
            value: bytes | None = self._db.get(key)
        return value

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        yield from rows(self._db, self._path)

    def _batch(self, changes: Iterable[Change], seen_ms: int) -> Any:
        batch = rocksdict.WriteBatch(raw_mode=True)
        put = batch.put  # a million times in a restore
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                put(key, value)
        return batch


def _no_log() -> Any:
    options = rocksdict.WriteOptions()
    options.disable_wal = True  # type: ignore[assignment, method-assign] # a property
    return options


def open_files(
    engine: Engine, path: Path, wanted: set[str]
) -> tuple[Any, dict[str, Any]]:
    """Open a database with at least the column families *wanted*; return all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if _verdict(path).exists():
        _verdict(path).unlink()
        raise CorruptStoreError(path, "a damaged block was found when it was read")
    try:
        known = set(rocksdict.Rdict.list_cf(str(path))) if path.exists() else set()
    except Exception as error:  # rocksdict raises bare Exceptions
        raise CorruptStoreError(path, str(error)) from error
    names = sorted((known | wanted) - {"default"})
    try:
        db = rocksdict.Rdict(
            str(path),
            engine.options(),
            column_families={name: engine.options() for name in names},
        )
    except Exception as error:
        raise CorruptStoreError(path, str(error)) from error
    return db, {name: db.get_column_family(name) for name in names}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Let a store in which RocksDB finds damage be rebuilt when it is next opened.

    A bad block shows when it is read, and not when the files are opened: without this
    each start would end at the same block.

    Raises:
        UnreadableStoreError: for whatever RocksDB raises inside.
    """
    try:
        yield
    except Exception as error:  # rocksdict raises bare Exceptions
        raise _unreadable(path, error) from error


def rows(family: Any, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield all keys and values of a column family, in the order of the keys.

    rocksdict's own ``items()`` ends at a damaged block as at the end of the table.

    Raises:
        UnreadableStoreError: RocksDB cannot go on.
    """
    with reading(path):
        at = family.iter()
        at.seek_to_first()
        while at.valid():
            yield at.key(), at.value()
            at.next()
        at.status()


def _unreadable(path: Path, error: Exception) -> UnreadableStoreError:
    damaged = _is_damage(error)
    if damaged:
        _verdict(path).touch()
    return UnreadableStoreError(path, str(error), damaged=damaged)


def _is_damage(error: Exception) -> bool:
    return str(error).startswith("Corruption")


def _verdict(path: Path) -> Path:
    return path.with_name(f"{path.name}.corrupt")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say what an error of RocksDB means for the store in *path*.

    Raises:
        DiskFullError: the disk took it not. Nothing of the batch is in the store.
        UnreadableStoreError: a flush or a compaction found damage.
    """
    try:
        yield
    except Exception as error:  # rocksdict raises bare Exceptions
        if _is_damage(error):
            raise _unreadable(path, error) from error
        raise DiskFullError(path, str(error)) from error


_MARK: Final = struct.Struct(">BQQ")


def put_mark(batch: Any, mark: StoreMark, family: Any) -> None:
    """Add *mark* to *batch*."""
    head = _MARK.pack(FORMAT, mark.next, mark.seen_ms)
    batch.put(b"mark", head + mark.changelog_id, family)


def read_mark(meta: Any, path: Path) -> StoreMark:
    """Return the mark in the column family *meta*; a blank one in a new store.

    Raises:
        CorruptStoreError: it cannot be read.
        NewerStoreError: a newer penstock wrote it.
    """
    stored: bytes | None = meta.get(b"mark")
    if stored is None:
        return StoreMark()
    if len(stored) < _MARK.size:
        raise CorruptStoreError(path, "the store's mark is cut short")
    found, following, seen_ms = _MARK.unpack_from(stored)
    if found > FORMAT:
        raise NewerStoreError(path, found)
    return StoreMark(next=following, seen_ms=seen_ms, changelog_id=stored[_MARK.size :])


def wipe(path: Path) -> None:
    """Remove a store's files; the changelog has everything."""
    shutil.rmtree(path, ignore_errors=True)


OpenStore = Callable[[Engine, Path], Store]
