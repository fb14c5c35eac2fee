"""Bare records are the records that aiokafka's own parser hands on, and no others.

Restores read changelogs through them: a record of an aborted transaction that slips
through would be state that nobody ever settled.
"""

import struct
from random import Random

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from agents.bare_records import PIECE_RECORDS, BareRecords

TP = TopicPartition("changelog", 0)
COMMIT, ABORT = 1, 0
CONTROL = 0x20
CRC_AT, ATTRIBUTES_AT = 17, 21


def batch(base, count, *, producer, transactional=True):
    """Return the bytes of a batch of *count* records from offset *base* on."""
    builder = DefaultRecordBatchBuilder(
        2,
        0,
        is_transactional=int(transactional),
        producer_id=producer,
        producer_epoch=0,
        base_sequence=0,
        batch_size=1 << 20,
    )
    for i in range(count):
        value = None if i % 5 == 4 else b"%d" % (base + i)
        builder.append(i, 1_700_000_000_000, b"k%d" % (base + i), value, [])
    return stamped(builder.build(), base)


def marker(base, kind, *, producer):
    """Return the bytes of the control batch that ends a transaction."""
    builder = DefaultRecordBatchBuilder(
        2,
        0,
        is_transactional=1,
        producer_id=producer,
        producer_epoch=0,
        base_sequence=0,
        batch_size=1 << 20,
    )
    builder.append(0, 1_700_000_000_000, struct.pack(">hh", 0, kind), b"", [])
    return stamped(builder.build(), base, attributes=CONTROL)


def stamped(built, base, *, attributes=0):
    """Return a batch as the broker stores it: with its offset."""
    stored = bytearray(built)
    stored[:8] = struct.pack(">q", base)
    stored[ATTRIBUTES_AT + 1] |= attributes
    stored[CRC_AT : CRC_AT + 4] = struct.pack(">I", calc_crc32c(stored[ATTRIBUTES_AT:]))
    return bytes(stored)


def history(seed):
    """Return a partition's log, and its aborted transactions, as a broker has them."""
    chance, log, aborted, begun, at = Random(seed), [], [], {}, 0  # noqa: S311
    for _ in range(chance.randint(1, 40)):
        producer = chance.randint(1, 3)
        if producer in begun and chance.random() < 0.4:
            kind = chance.choice((COMMIT, ABORT))
            if kind == ABORT:
                aborted.append((producer, begun[producer]))
            log.append(marker(at, kind, producer=producer))
            del begun[producer]
            at += 1
        else:
            count = chance.choice((1, 2, 7, PIECE_RECORDS, 2 * PIECE_RECORDS + 3))
            begun.setdefault(producer, at)
            log.append(batch(at, count, producer=producer))
            at += count
        at += chance.choice((0, 0, 3))  # what compaction took away
    return log, aborted, at


def parsed(kind, log, aborted, fetch_offset):
    # A broker answers from the batch on that holds the offset.
    answer = [stored for stored in log if last_of(stored) >= fetch_offset]
    return kind(
        TP,
        MemoryRecords(b"".join(answer)),
        list(aborted),
        fetch_offset,
        None,
        None,
        True,  # noqa: FBT003 - aiokafka's own order
        READ_COMMITTED,
    )


def last_of(stored):
    """Return the offset of a batch's last record."""
    base, delta = struct.unpack_from(">q15xi", stored)
    return base + delta


def plain(record):
    return record.key, record.value


@pytest.mark.parametrize("seed", range(60))
def test_bare_records_are_those_of_aiokafka_wherever_a_fetch_begins(seed):
    log, aborted, end = history(seed)
    for fetch_offset in {0, end // 3, end // 2, max(0, end - 1)}:
        theirs = parsed(PartitionRecords, log, aborted, fetch_offset)
        ours = parsed(BareRecords, log, aborted, fetch_offset)
        wanted = [plain(record) for record in theirs]
        found = [record for piece in ours for record in piece]
        assert found == wanted
        assert ours.next_fetch_offset == theirs.next_fetch_offset


def test_some_of_these_histories_hide_records():
    hidden = 0
    for seed in range(60):
        log, aborted, _ = history(seed)
        shown = sum(1 for _ in parsed(PartitionRecords, log, aborted, 0))
        shown_all = sum(1 for _ in parsed(PartitionRecords, log, [], 0))
        hidden += shown < shown_all
    assert hidden > 10


def test_after_each_piece_the_next_fetch_would_miss_nothing():
    log = [batch(0, 2 * PIECE_RECORDS + 3, producer=1), batch(300, 4, producer=1)]
    ours, everything = parsed(BareRecords, log, [], 0), list(whole(log, 0))
    handed = 0
    for piece in ours:
        assert len(piece) <= PIECE_RECORDS
        handed += len(piece)
        again = list(whole(log, ours.next_fetch_offset))
        assert again == everything[len(everything) - len(again) :]
        assert len(again) >= len(everything) - handed
    assert not list(whole(log, ours.next_fetch_offset))


def whole(log, fetch_offset):
    return map(plain, parsed(PartitionRecords, log, [], fetch_offset))


def test_a_damaged_batch_is_refused():
    damaged = bytearray(batch(0, 3, producer=1))
    damaged[-1] ^= 0xFF
    with pytest.raises(CorruptRecordException):
        list(parsed(BareRecords, [bytes(damaged)], [], 0))
