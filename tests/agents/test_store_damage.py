"""Damage that RocksDB finds only when it reads is not met again at each start."""

import random
from pathlib import Path

import pytest

from agents.ledger import LedgerEntry, LedgerStore
from agents.restore import Shelf
from agents.tables import (
    DiskFullError,
    Engine,
    KeyStore,
    Store,
    StoreMark,
    UnreadableStoreError,
    reading,
    writing,
)

DAMAGE = "Corruption: block checksum mismatch"
NO_SPACE = "IO error: No space left"
KEYS = sorted(random.Random(1).randbytes(100) for _ in range(1_000))  # noqa: S311
ENTRY = LedgerEntry(at_ms=3_600_000, topic="t", partition=0, offset=7).pack()


class BlockError(Exception):
    """What rocksdict raises is a bare Exception with RocksDB's words."""


def opened(folder: Path) -> Shelf:
    engine = Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)
    return Shelf(folder=folder, openers={"t": lambda path: KeyStore(engine, path)})


@pytest.mark.parametrize(("said", "kept"), [(DAMAGE, None), ("IO error: busy", b"v")])
def test_a_store_in_which_damage_was_found_is_rebuilt_once(tmp_path, said, kept):
    first = opened(tmp_path)
    first.open("t", 0).apply([(b"k", b"v")], StoreMark(next=7))
    first.close("t", 0)
    with pytest.raises(UnreadableStoreError, match=said), reading(tmp_path / "t" / "0"):
        raise BlockError(said)
    for _ in range(2):
        later = opened(tmp_path)
        store = later.open("t", 0)
        assert store.get(b"k") == kept
        if kept is None:
            store.apply([(b"k", b"w")], StoreMark(next=8))
            kept = b"w"
        later.close("t", 0)


def test_damage_that_a_write_finds_is_no_full_disk(tmp_path):
    path = tmp_path / "t"
    told = "next start rebuilds it"
    with pytest.raises(UnreadableStoreError, match=told), writing(path):
        raise BlockError(DAMAGE)
    with pytest.raises(DiskFullError, match="free disk space"), writing(path):
        raise BlockError(NO_SPACE)


def key_store(path: Path) -> Store:
    return KeyStore(Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20), path)


def ledger_store(path: Path) -> Store:
    return LedgerStore(
        Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20),
        path,
        window_s=1e9,
        max_entries=10_000,
        on_shortened=[].append,
    )


@pytest.mark.parametrize("make", [key_store, ledger_store])
@pytest.mark.parametrize("look", [lambda s: s.get(KEYS[0]), lambda s: list(s.scan())])
def test_a_block_that_is_damaged_on_disk_is_found_when_it_is_read(tmp_path, make, look):
    store = make(tmp_path / "s")
    store.apply([(k, ENTRY) for k in KEYS], StoreMark(next=1, seen_ms=3_600_000))
    store.close()
    make(tmp_path / "s").close()  # what was in the log alone is in a table file now
    file = max((tmp_path / "s").glob("*.sst"), key=lambda path: path.stat().st_size)
    body = bytearray(file.read_bytes())
    body[100:200] = bytes(100)
    file.write_bytes(body)
    store = make(tmp_path / "s")
    with pytest.raises(UnreadableStoreError, match="Corruption"):
        look(store)
    assert (tmp_path / "s.corrupt").exists()
    store.close()
