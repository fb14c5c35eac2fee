"""The ledger: an answered id is known for its window, and forgotten by the hour."""

import pytest

from agents.ledger import HOUR_MS, LedgerEntry, LedgerStore, ledger_key
from agents.tables import CorruptStoreError, Engine, StoreMark

DAY_S = 86_400
NOW_MS = 472_222 * HOUR_MS + 1


@pytest.fixture(scope="module")
def engine():
    return Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)


@pytest.fixture
def opened(engine, tmp_path):
    """Open the ledger, again and again; tell what it shortened."""
    shortened: list[int] = []
    stores: list[LedgerStore] = []

    def reopen(*, window_s: float = DAY_S, max_entries: int = 1_000_000):
        while stores:
            stores.pop().close()
        store = LedgerStore(
            engine,
            tmp_path / "ledger" / "0",
            window_s=window_s,
            max_entries=max_entries,
            on_shortened=shortened.append,
        )
        stores.append(store)
        return store

    reopen.shortened = shortened
    yield reopen
    for store in stores:
        store.close()


def entry(at_ms: int = NOW_MS, offset: int = 5) -> LedgerEntry:
    return LedgerEntry(at_ms=at_ms, topic="t", partition=3, offset=offset)


def add(store, key: bytes, at_ms: int, *, seen_ms: int | None = None):
    mark = StoreMark(next=store.mark.next + 1, seen_ms=seen_ms or at_ms)
    store.apply([(key, entry(at_ms).pack())], mark)


def test_an_entry_comes_back_as_it_was_stored():
    first = LedgerEntry(at_ms=NOW_MS, topic="tö.requests", partition=7, offset=2**40)
    assert LedgerEntry.unpack(first.pack()) == first


def test_an_id_is_known_and_others_are_not(opened):
    store = opened()
    add(store, b"a", NOW_MS)
    assert LedgerEntry.unpack(store.get(b"a")) == entry()
    assert store.get(b"b") is None


def test_an_id_is_known_for_its_window_and_an_hour_at_most(opened):
    store = opened(window_s=2 * 3_600)
    add(store, b"a", NOW_MS)
    for minutes in (30, 90, 119):
        add(store, b"%d" % minutes, NOW_MS + minutes * 60_000)
        assert store.get(b"a")
    add(store, b"later", NOW_MS + 3 * HOUR_MS)
    assert store.get(b"a") is None
    assert store.get(b"119")


def test_whole_hours_are_dropped_without_a_tombstone(opened):
    store = opened(window_s=3_600)
    for hour in range(5):
        add(store, b"%d" % hour, NOW_MS + hour * HOUR_MS)
    assert [key for key, _ in store.scan()] == [b"3", b"4"]


def test_the_newest_entry_of_a_key_is_the_one(opened):
    store = opened()
    add(store, b"a", NOW_MS)
    add(store, b"a", NOW_MS + 2 * HOUR_MS)
    assert LedgerEntry.unpack(store.get(b"a")).at_ms == NOW_MS + 2 * HOUR_MS


def test_a_reopened_ledger_knows_what_it_knew(opened):
    add(opened(), b"a", NOW_MS)
    add(opened(), b"b", NOW_MS + HOUR_MS)
    store = opened()
    assert store.mark == StoreMark(next=2, seen_ms=NOW_MS + HOUR_MS)
    assert store.get(b"a")
    assert store.get(b"b")


def test_a_reopened_ledger_still_drops_hours_whole(opened):
    add(opened(window_s=3_600), b"a", NOW_MS)
    store = opened(window_s=3_600)
    add(store, b"b", NOW_MS + 3 * HOUR_MS)
    assert [key for key, _ in store.scan()] == [b"b"]
    assert [key for key, _ in opened(window_s=3_600).scan()] == [b"b"]


def test_entries_older_than_the_window_are_not_restored(opened):
    store = opened(window_s=3_600)
    changes = [
        (b"old", entry(NOW_MS - 5 * HOUR_MS).pack()),
        (b"new", entry(NOW_MS).pack()),
    ]
    store.apply(changes, StoreMark(next=2, seen_ms=NOW_MS))
    assert [key for key, _ in store.scan()] == [b"new"]
    assert store.mark.next == 2


def test_expiry_needs_no_entries(opened):
    store = opened(window_s=3_600)
    add(store, b"a", NOW_MS)
    store.apply((), StoreMark(next=1, seen_ms=NOW_MS + 5 * HOUR_MS))
    assert list(store.scan()) == []


def test_a_tombstone_from_the_changelog_forgets_nothing(opened):
    store = opened()
    add(store, b"a", NOW_MS)
    store.apply([(b"a", None)], StoreMark(next=2, seen_ms=NOW_MS))
    assert store.get(b"a")


def test_too_many_entries_shorten_the_window_by_whole_hours_and_say_so(opened):
    store = opened(max_entries=3)
    for hour, keys in enumerate(("ab", "cd", "e")):
        for key in keys:
            add(store, key.encode(), NOW_MS + hour * HOUR_MS)
    assert [key for key, _ in store.scan()] == [b"c", b"d", b"e"]
    assert opened.shortened == [2]


def test_the_current_hour_is_never_shortened(opened):
    store = opened(max_entries=1)
    for key in b"abc":
        add(store, bytes([key]), NOW_MS)
    assert len(list(store.scan())) == 3
    assert not opened.shortened


def test_a_reopened_ledger_still_counts_what_it_holds(opened):
    store = opened()
    for key in b"abcd":
        add(store, bytes([key]), NOW_MS)
    store = opened(max_entries=3)
    add(store, b"e", NOW_MS + HOUR_MS)
    assert [key for key, _ in store.scan()] == [b"e"]
    assert opened.shortened == [4]


def test_an_hour_that_was_dropped_can_be_filled_again(opened):
    store = opened(max_entries=1)
    add(store, b"a", NOW_MS)
    add(store, b"b", NOW_MS + HOUR_MS)
    assert store.get(b"a") is None
    add(store, b"a", NOW_MS, seen_ms=NOW_MS + HOUR_MS)
    assert opened.shortened == [1, 1]
    assert store.get(b"b")


def test_executions_that_differ_in_anything_have_keys_of_their_own():
    parts = ("a", "ab", "b", "")
    keys = {
        ledger_key(pipeline, home, request_id, replay)
        for pipeline in parts
        for home in parts
        for request_id in parts
        for replay in (0, 1, 10)
    }
    assert len(keys) == 4**3 * 3


def test_files_that_rocksdb_refuses_are_corruption(engine, tmp_path):
    def ledger():
        return LedgerStore(
            engine,
            tmp_path / "0",
            window_s=1,
            max_entries=1,
            on_shortened=lambda _: None,
        )

    ledger().close()
    for file in (tmp_path / "0").glob("MANIFEST*"):
        file.write_bytes(b"rubbish")
    with pytest.raises(CorruptStoreError):
        ledger()
