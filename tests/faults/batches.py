"""The broker's own log: which producer wrote what, in a transaction or outside one.

No consumer is told these facts, so the segment files are read: the head of a batch is
never compressed. Offsets and markers are the broker's, not the word of the app.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.history import At, Batch

HEAD: Final = struct.Struct(">qiibihiqqqhii")
LENGTH_FIELDS: Final = 12
"""Offset and length, which the length does not count."""
TRANSACTIONAL: Final = 0x10
CONTROL: Final = 0x20
COMMIT: Final = 1
MAGIC: Final = 2


class Head(NamedTuple):
    """The head of a batch, field by field."""

    offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_delta: int
    first_ms: int
    last_ms: int
    producer: int
    epoch: int
    sequence: int
    records: int


def batches_of(data: Path, topic: str, partition: int) -> Sequence[Batch]:
    """Return all batches of records of a partition whose broker has its data in *data*.

    Markers are no batches: they are the outcome of those before them.
    """
    found: list[Batch] = []
    pending: dict[int, list[int]] = {}
    for head, body in _raw(data / f"{topic}-{partition}"):
        if head.attributes & CONTROL:
            outcome = "committed" if _is_commit(body) else "aborted"
            for index in pending.pop(head.producer, []):
                found[index] = replace(
                    found[index], outcome=outcome, ended_ms=head.last_ms
                )
            continue
        transactional = bool(head.attributes & TRANSACTIONAL)
        if transactional:
            pending.setdefault(head.producer, []).append(len(found))
        found.append(
            Batch(
                at=At(topic, partition, head.offset),
                last=head.offset + head.last_delta,
                producer=head.producer,
                epoch=head.epoch,
                transactional=transactional,
                outcome="open" if transactional else "plain",
                created_ms=head.last_ms,
                ended_ms=head.last_ms,
            )
        )
    return found


def by_offset(batches: Sequence[Batch]) -> Mapping[int, Batch]:
    """Return the batch of every offset."""
    return {
        offset: batch
        for batch in batches
        for offset in range(batch.at.offset, batch.last + 1)
    }


def _raw(folder: Path) -> Iterator[tuple[Head, bytes]]:
    for path in sorted(folder.glob("*.log")):
        content = memoryview(path.read_bytes())
        at = 0
        while at + HEAD.size <= len(content):
            head = Head(*HEAD.unpack_from(content, at))
            end = at + LENGTH_FIELDS + head.length
            # Preallocated or half written: the end of what there is.
            if head.magic != MAGIC or end > len(content):
                break
            yield head, bytes(content[at + HEAD.size : end])
            at = end


def _is_commit(body: bytes) -> bool:
    # A control record: length, attributes, two deltas, key length (a byte each here),
    # then the key: version and type, 16 bits each.
    return int.from_bytes(body[_key_at(body) + 2 :][:2], "big") == COMMIT


def _key_at(body: bytes) -> int:
    at = _after_varint(body, 0) + 1
    for _ in range(3):
        at = _after_varint(body, at)
    return at


def _after_varint(body: bytes, at: int) -> int:
    while body[at] & 0x80:
        at += 1
    return at + 1
