"""Fetched records: a header name of any bytes is read, all else as aiokafka does."""

import asyncio

import pytest
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import (
    DefaultRecordBatch,
    _DefaultRecordBatchBuilderPy,
    _DefaultRecordBatchPy,
)
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from agents import fetched_records
from agents.fetched_records import KeptRecords, LenientRecords, read_leniently

TP = TopicPartition("in", 0)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
ABORT = b"\0\0\0\0"
ATTRIBUTES, CRC = 21, 17
CHECKED = True
CONTROL = 0x20


class Garbled(str):
    """A header name whose bytes are no text."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"n\xff\xe9me"


GARBLED = Garbled("xxxxx")
ESCAPED = "n\\xff\\xe9me"


def batch(
    names: list[str], *, base: int = 0, codec: int = 0, producer: int | None = None
) -> bytearray:
    """Return a batch with one record for each header name, beginning at *base*."""
    in_transaction = producer is not None
    pid = -1 if producer is None else producer
    builder = _DefaultRecordBatchBuilderPy(2, codec, in_transaction, pid, 0, 0, 1 << 20)
    for i, name in enumerate(names):
        at = base + i
        headers = [("first", b"\xff"), (name, None), ("last", b"")]
        builder.append(i, 1_000 + at, b"k%d" % at, b"v" * 50, headers)
    return placed(builder.build(), base)


def control(key: bytes, *, base: int, producer: int) -> bytearray:
    """Return the marker that ends a transaction."""
    builder = _DefaultRecordBatchBuilderPy(2, 0, 1, producer, 0, 0, 1 << 20)
    builder.append(0, 1, key, b"", [])
    built = placed(builder.build(), base)
    built[ATTRIBUTES + 1] |= CONTROL
    built[CRC:ATTRIBUTES] = calc_crc32c(bytes(built[ATTRIBUTES:])).to_bytes(4, "big")
    return built


def placed(built: bytearray, base: int) -> bytearray:
    built[:8] = base.to_bytes(8, "big")
    return built


def unpack(*batches: bytearray, at: int = 0, aborted=(), kind=LenientRecords, key=None):
    raw = bytes(b"".join(batches))
    batches = KeptRecords(raw) if kind is LenientRecords else MemoryRecords(raw)
    return kind(TP, batches, list(aborted), at, key, None, CHECKED, READ_COMMITTED)


def offsets(records) -> list[int]:
    return [record.offset for record in records]


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_only_the_garbled_name_is_read_in_another_way(codec):
    garbled = unpack(batch(["a", GARBLED, "é"], base=7, codec=codec), at=7)
    as_if = unpack(
        batch(["a", ESCAPED, "é"], base=7, codec=codec), at=7, kind=PartitionRecords
    )
    assert list(garbled) == list(as_if)
    assert garbled.next_fetch_offset == as_if.next_fetch_offset == 10


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_aiokafka_alone_still_cannot_read_such_a_name(codec):
    """Fails once a new aiokafka can: then all of this can go."""
    with pytest.raises(UnicodeDecodeError):
        list(unpack(batch([GARBLED], codec=codec), kind=PartitionRecords))


def test_each_record_is_handed_on_once_whatever_batch_is_read_again():
    names = [["a", "b"], ["c", GARBLED, "d", GARBLED], ["e"], [GARBLED, "f"], ["g"]]
    bases = [0, 2, 6, 7, 9]
    records = unpack(*(batch(n, base=b) for n, b in zip(names, bases, strict=True)))
    found = list(records)
    assert offsets(found) == list(range(10))
    assert [r.headers[1][0] for r in found if r.offset in {3, 5, 7}] == [ESCAPED] * 3
    assert records.next_fetch_offset == 10


def test_after_each_record_the_position_is_behind_it():
    records = unpack(batch(["a"]), batch(["b", GARBLED, "c"], base=1))
    positions = [(record.offset, records.next_fetch_offset) for record in records]
    assert positions == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_fetch_that_begins_inside_a_batch_skips_what_is_before():
    assert offsets(unpack(batch(["a", GARBLED, "b", GARBLED]), at=2)) == [2, 3]


def test_gaps_and_cut_off_batches_are_as_before():
    whole, cut = batch([GARBLED], base=5), batch(["late"], base=40)[:-3]
    records = unpack(whole, batch([GARBLED, "x"], base=30), cut)
    assert offsets(records) == [5, 30, 31]
    assert records.next_fetch_offset == 32


def test_aborted_records_stay_unseen_and_committed_ones_of_that_producer_come():
    batches = (
        batch(["a", GARBLED], base=0, producer=9),  # aborted
        batch([GARBLED], base=2),
        control(ABORT, base=3, producer=9),
        batch(["b", GARBLED, "c"], base=4, producer=9),
        control(b"\0\0\0\1", base=7, producer=9),
        batch([GARBLED], base=8, producer=9),  # aborted
        control(ABORT, base=9, producer=9),
    )
    records = unpack(*batches, aborted=[(9, 0), (9, 8)])
    assert offsets(records) == [2, 4, 5, 6]
    assert records.next_fetch_offset == 10


def test_bytes_damaged_on_the_way_are_still_refused():
    damaged = batch(["a", GARBLED])
    damaged[-1] ^= 1
    with pytest.raises(CorruptRecordException):
        list(unpack(damaged))


def test_a_deserializer_that_fails_is_not_asked_for_ever():
    asked = []

    def strict(key: bytes) -> str:
        asked.append(key)
        return b"\xff".decode()

    with pytest.raises(UnicodeDecodeError):
        list(unpack(batch(["a"]), key=strict))
    assert asked == [b"k0"] * 2


def test_ordinary_batches_are_parsed_once_by_aiokafkas_own_parser():
    kept = KeptRecords(bytes(batch(["a"]) + batch(["b"], base=1)))
    while kept.has_next():
        assert type(kept.next_batch()) is DefaultRecordBatch


def test_without_the_parsers_in_cython_it_is_the_same(monkeypatch):
    class Plain(_MemoryRecordsPy):
        def next_batch(self) -> _DefaultRecordBatchPy:
            found, _ = self._next_slice, self._cache_next()
            return _DefaultRecordBatchPy(found)

    monkeypatch.setattr(fetched_records, "MemoryRecords", Plain)
    records = unpack(batch(["a", GARBLED]), batch([GARBLED, "b"], base=2))
    assert offsets(records) == [0, 1, 2, 3]


class FetchedResponse:
    API_VERSION = 4

    def __init__(self, raw: bytes) -> None:
        self.topics = [(TP.topic, [(TP.partition, 0, 100, 100, [], raw)])]


class OneAnswer:
    """A client that answers every request with one response."""

    _metadata_max_age_ms = 1_000

    def __init__(self, loop, raw: bytes) -> None:
        self._loop = loop
        self.raw = raw

    async def send(self, *_: object) -> FetchedResponse:
        return FetchedResponse(self.raw)


@pytest.fixture
async def fetchers():
    client = OneAnswer(asyncio.get_running_loop(), bytes(batch(["a", GARBLED])))
    made = [Fetcher(client, SubscriptionState()) for _ in range(2)]
    yield made
    for fetcher in made:
        await fetcher.close()


class FetchFromStart:
    topics = ((TP.topic, [(TP.partition, 0, 1)]),)


async def fetched(fetcher: Fetcher) -> list[int]:
    assignment = Assignment([TP])
    assignment.state_value(TP).seek(0)
    await fetcher._proc_fetch_request(assignment, 0, FetchFromStart())  # noqa: SLF001
    return offsets(fetcher._records.pop(TP).getall())  # noqa: SLF001


async def test_one_fetcher_reads_leniently_and_no_other(fetchers):
    ours, theirs = fetchers
    read_leniently(ours)
    read_leniently(ours)
    assert await fetched(ours) == [0, 1]
    with pytest.raises(UnicodeDecodeError):
        await fetched(theirs)
    assert aiokafka_fetcher.PartitionRecords is PartitionRecords


def test_the_code_of_the_fetcher_asks_for_the_two_names_that_are_replaced():
    names = Fetcher._proc_fetch_request.__code__.co_names  # noqa: SLF001
    assert {"MemoryRecords", "PartitionRecords"} <= set(names)
    assert Fetcher._proc_fetch_request.__defaults__ is None  # noqa: SLF001
