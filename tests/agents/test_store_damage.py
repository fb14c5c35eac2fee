"""Damage that RocksDB finds only when it reads is not met again at each start."""

from pathlib import Path

import pytest

from agents.restore import Shelf
from agents.tables import Engine, KeyStore, StoreMark, condemning


class BlockError(Exception):
    """What rocksdict raises is a bare Exception with RocksDB's words."""


def opened(folder: Path) -> Shelf:
    engine = Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)
    return Shelf(folder=folder, openers={"t": lambda path: KeyStore(engine, path)})


@pytest.mark.parametrize(
    ("said", "kept"),
    [("Corruption: block checksum mismatch", None), ("IO error: busy", b"v")],
)
def test_a_store_in_which_damage_was_found_is_rebuilt_once(tmp_path, said, kept):
    first = opened(tmp_path)
    first.open("t", 0).apply([(b"k", b"v")], StoreMark(next=7))
    first.close("t", 0)
    with pytest.raises(BlockError), condemning(tmp_path / "t" / "0"):
        raise BlockError(said)
    for _ in range(2):
        later = opened(tmp_path)
        store = later.open("t", 0)
        assert store.get(b"k") == kept
        if kept is None:
            store.apply([(b"k", b"w")], StoreMark(next=8))
            kept = b"w"
        later.close("t", 0)
