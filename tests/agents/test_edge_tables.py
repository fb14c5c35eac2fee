"""Tables: a store keeps what it was given, its mark with it, and never lies."""

import asyncio
import shutil
import subprocess
import sys

import pytest
import rocksdict

from agents.ledger import LedgerEntry, LedgerStore
from agents.restore import Shelf
from agents.tables import (
    FORMAT,
    HALF_FILLED,
    CorruptStoreError,
    DiskFullError,
    Engine,
    KeyStore,
    NewerStoreError,
    StoreMark,
    writing,
)

MARK = StoreMark(next=7, seen_ms=1_700_000_000_000, changelog_id=b"sixteen bytes id")


@pytest.fixture(scope="module")
def engine():
    return Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions" / "0"


def filled(engine, path):
    store = KeyStore(engine, path)
    store.apply([(b"a", b"1"), (b"b", b"2")], MARK)
    return store


def overwrite_mark(engine, path, stored: bytes):
    """Put *stored* in place of the mark of a closed store."""
    db = rocksdict.Rdict(
        str(path), engine.options(), column_families={"meta": engine.options()}
    )
    meta = db.get_column_family("meta")
    meta[b"mark"] = stored
    del meta
    db.close()


# In a process of its own: it ends as one that is killed does.
CRASH = """
import os, sys
from pathlib import Path
from agents.tables import Engine
from tests.agents.test_edge_tables import ENTRY, KEYS, KINDS, MARK

engine = Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)
store = KINDS[sys.argv[1]](engine, Path(sys.argv[2]))
for key in KEYS:
    store.load([(key, ENTRY)], MARK.seen_ms)
if sys.argv[3] == "kept":
    store.apply([(b"after", ENTRY)], MARK)
os._exit(0)
"""
ENTRY = LedgerEntry(at_ms=MARK.seen_ms, topic="t", partition=0, offset=1).pack()
KEYS = [b"%d" % i for i in range(100)]


def ledger_of(engine, path):
    return LedgerStore(
        engine,
        path,
        window_s=3_600,
        max_entries=1_000,
        on_shortened=lambda _: None,
    )


KINDS = {"sessions": KeyStore, "ledger": ledger_of}


def crashed(kind: str, path, how: str) -> None:
    subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-c", CRASH, kind, str(path), how], check=True
    )


def shelf_of(engine, folder):
    return Shelf(
        folder=folder, openers={"sessions": lambda path: KeyStore(engine, path)}
    )


def test_a_new_store_is_empty_and_has_seen_nothing(engine, path):
    store = KeyStore(engine, path)
    assert store.mark == StoreMark()
    assert store.get(b"a") is None
    assert list(store.scan()) == []
    store.close()


def test_values_and_mark_are_there_after_reopening(engine, path):
    filled(engine, path).close()
    store = KeyStore(engine, path)
    assert store.mark == MARK
    assert dict(store.scan()) == {b"a": b"1", b"b": b"2"}  # and no mark among them
    store.close()


def test_a_tombstone_removes_and_the_last_change_of_a_key_wins(engine, path):
    store = filled(engine, path)
    store.apply([(b"a", None), (b"b", b"3"), (b"b", b"4"), (b"zero", None)], MARK)
    assert dict(store.scan()) == {b"b": b"4"}
    store.close()


def test_an_empty_value_is_no_tombstone(engine, path):
    store = KeyStore(engine, path)
    store.apply([(b"a", b"")], MARK)
    assert store.get(b"a") == b""
    store.close()


def test_a_store_of_a_newer_format_is_refused_and_stays(engine, path):
    filled(engine, path).close()
    overwrite_mark(engine, path, bytes([FORMAT + 1]) + bytes(16))
    with pytest.raises(NewerStoreError, match="format 2"):
        KeyStore(engine, path)
    assert path.exists()


@pytest.mark.parametrize("stored", [b"", b"\x01\x00"])
def test_a_mark_that_is_cut_short_is_corruption(engine, path, stored):
    filled(engine, path).close()
    overwrite_mark(engine, path, stored)
    with pytest.raises(CorruptStoreError):
        KeyStore(engine, path)


@pytest.mark.parametrize("name", ["MANIFEST", "CURRENT"])
def test_damaged_files_are_corruption(engine, path, name):
    filled(engine, path).close()
    for file in path.glob(f"{name}*"):
        file.write_bytes(b"rubbish")
    with pytest.raises(CorruptStoreError):
        KeyStore(engine, path)


def test_a_folder_without_a_store_is_corruption(engine, path):
    path.mkdir(parents=True)
    (path / "left-over").write_text("x")
    with pytest.raises(CorruptStoreError):
        KeyStore(engine, path)


def test_a_write_that_the_disk_takes_not_says_so(path):
    with pytest.raises(DiskFullError, match="No space left"), writing(path):
        raise Exception("No space left on device")  # noqa: TRY002 EM101 TRY003 - as rocksdict


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_loaded_outlives_a_crash_from_its_mark_on(engine, path, kind):
    crashed(kind, path, "kept")
    store = KINDS[kind](engine, path)
    assert store.mark == MARK
    assert dict(store.scan()) == dict.fromkeys([*KEYS, b"after"], ENTRY)
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_a_crash_left_half_filled_says_so(engine, path, kind):
    crashed(kind, path, "cut short")
    store = KINDS[kind](engine, path)
    assert store.mark == HALF_FILLED
    store.close()


def test_what_is_loaded_can_be_read_at_once_and_the_last_change_wins(engine, path):
    store = KeyStore(engine, path)
    store.load([(b"a", b"1"), (b"b", b"1")], 0)
    store.load([(b"a", b"2"), (b"b", None)], 0)
    assert (store.mark, dict(store.scan())) == (HALF_FILLED, {b"a": b"2"})
    store.close()


async def test_a_flush_ends_by_itself(engine, path):
    store = KeyStore(engine, path)
    store.flush()
    assert not store.flushing
    store.load([(b"%d" % i, bytes(100)) for i in range(1_000)], 0)
    store.flush()
    assert store.flushing
    async with asyncio.timeout(10):
        while store.flushing:  # noqa: ASYNC110 - RocksDB calls nobody
            await asyncio.sleep(0.001)
    store.apply((), MARK)
    store.close()


def test_the_shelf_opens_a_store_once(engine, tmp_path):
    shelf = shelf_of(engine, tmp_path)
    assert shelf.open("sessions", 0) is shelf.open("sessions", 0)
    shelf.close_partition(0)
    assert not shelf.stores
    shelf.open("sessions", 0).close()


def test_the_shelf_rebuilds_what_rocksdb_refuses(engine, tmp_path):
    filled(engine, tmp_path / "sessions" / "0").close()
    for file in (tmp_path / "sessions" / "0").glob("MANIFEST*"):
        file.write_bytes(b"rubbish")
    store = shelf_of(engine, tmp_path).open("sessions", 0)
    assert store.mark == StoreMark()
    assert list(store.scan()) == []
    store.close()


def test_the_shelf_rebuilds_a_store_whose_mark_is_cut_short(engine, tmp_path):
    filled(engine, tmp_path / "sessions" / "0").close()
    overwrite_mark(engine, tmp_path / "sessions" / "0", b"\x01")
    store = shelf_of(engine, tmp_path).open("sessions", 0)
    assert store.mark == StoreMark()
    store.close()


def test_the_shelf_never_wipes_a_newer_store(engine, tmp_path):
    path = tmp_path / "sessions" / "0"
    filled(engine, path).close()
    overwrite_mark(engine, path, bytes([FORMAT + 1]) + bytes(16))
    with pytest.raises(NewerStoreError):
        shelf_of(engine, tmp_path).open("sessions", 0)
    overwrite_mark(engine, path, bytes([FORMAT]) + bytes(16))
    store = KeyStore(engine, path)
    assert dict(store.scan()) == {b"a": b"1", b"b": b"2"}
    store.close()


def test_a_rebuilt_store_is_empty_and_takes_writes(engine, tmp_path):
    shelf = shelf_of(engine, tmp_path)
    shelf.open("sessions", 0).apply([(b"a", b"1")], MARK)
    store = shelf.rebuild("sessions", 0, "a test")
    assert shelf.stores["sessions", 0] is store
    assert (store.mark, store.get(b"a")) == (StoreMark(), None)
    store.apply([(b"a", b"2")], MARK)
    shelf.close_partition(0)
    store = KeyStore(engine, tmp_path / "sessions" / "0")
    assert store.get(b"a") == b"2"
    store.close()


def test_partitions_and_tables_have_stores_of_their_own(engine, tmp_path):
    shelf = shelf_of(engine, tmp_path)
    shelf.open("sessions", 0).apply([(b"a", b"1")], MARK)
    assert shelf.open("sessions", 1).get(b"a") is None
    shelf.close_partition(1)
    assert list(shelf.stores) == [("sessions", 0)]
    shelf.close_partition(0)


def test_a_store_whose_folder_was_wiped_begins_anew(engine, path):
    filled(engine, path).close()
    shutil.rmtree(path)
    store = KeyStore(engine, path)
    assert store.mark == StoreMark()
    store.close()


def test_all_stores_share_one_budget(engine):
    assert set(engine.usage_bytes()) == {"cache", "memtables"}
