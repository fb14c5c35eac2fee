"""What stores hold in memory: little where there is little, and in the end a budget."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from agents.tables import Engine, KeyStore, StoreMark
from tests.integration.eventually import eventually

BUDGET = 4 << 20
STORES = 24


@pytest.fixture
def engine() -> Engine:
    return Engine(cache_bytes=4 * BUDGET, write_buffer_bytes=BUDGET)


@pytest.fixture
def stores(engine, tmp_path) -> Iterator[list[KeyStore]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(KeyStore(engine, tmp_path / str(number))))
            for number in range(STORES)
        ]


def test_stores_that_hold_little_count_as_little(engine, stores):
    for store in stores:
        store.apply([(b"key", bytes(5_000))], StoreMark(next=1, seen_ms=1))
    # Counted by the megabyte, they would spend any budget, and flush at every write.
    assert engine.usage_bytes()["memtables"] < STORES * (128 << 10)


def test_memtables_return_to_their_budget_and_are_part_of_the_cache(engine, stores):
    numbers = itertools.count()

    def put() -> int:
        number = next(numbers)
        change = (b"%d" % number, bytes(4_000))
        stores[number % STORES].apply([change], StoreMark(next=1, seen_ms=1))
        used = engine.usage_bytes()
        assert used["cache"] >= used["memtables"] * 0.9
        return used["memtables"]

    # A burst is faster than flushes are, which nothing waits for.
    while put() < 2 * BUDGET:
        pass
    eventually(lambda: put() < BUDGET, within_s=60, what="flushes")
