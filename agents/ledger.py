"""The ledger: which request ids are answered, remembered for a window of time.

Entries live in one column family per hour. An hour that leaves the window is dropped
whole: no tombstones, no scans. A look-up asks the hours from the newest to the
oldest; bloom filters make an hour that does not know a key nearly free.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import rocksdict
from msgspec import Struct

from agents.tables import (
    Change,
    Engine,
    MarkedStore,
    StoreMark,
    reading,
    rows,
)

HOUR_MS: Final = 3_600_000
_SEGMENT: Final = "hour-"
_ENTRY: Final = struct.Struct(">BQiQ")
_FORMAT: Final = 1


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """Where and when a request id was answered."""

    at_ms: int
    topic: str
    partition: int
    offset: int

    def pack(self) -> bytes:
        """Return the stored form."""
        head = _ENTRY.pack(_FORMAT, self.at_ms, self.partition, self.offset)
        return head + self.topic.encode()

    @classmethod
    def unpack(cls, stored: bytes) -> "LedgerEntry":
        """Read the stored form back."""
        _, at_ms, partition, offset = _ENTRY.unpack_from(stored)
        topic = stored[_ENTRY.size :].decode()
        return cls(at_ms=at_ms, topic=topic, partition=partition, offset=offset)


def ledger_key(pipeline: str, home: str, request_id: str, replay: int) -> bytes:
    """Return the key of one execution; a zero byte is in none of its parts."""
    return f"{pipeline}\0{home}\0{request_id}\0{replay}".encode()


class LedgerStore(MarkedStore):
    """The ledger's store: a segment per hour, dropped whole when it expires."""

    def __init__(
        self,
        engine: Engine,
        path: Path,
        *,
        window_s: float,
        max_entries: int,
        on_shortened: Callable[[int], None],
    ) -> None:
        """Open *path*, or make it.

        *on_shortened* is told how many entries were forgotten before their time,
        because there were more than *max_entries*.

        Raises:
            CorruptStoreError: RocksDB refuses the files.
            NewerStoreError: a newer penstock wrote them.
        """
        self._segments: dict[int, Any] = {}
        super().__init__(engine, path)
        self._window_ms = round(window_s * 1_000)
        self._max_entries = max_entries
        self._on_shortened = on_shortened
        for name, family in self._families.items():
            self._segments[int(name.removeprefix(_SEGMENT))] = family
        # An estimate is enough: the bound protects the disk, not a promise.
        self._counts = {
            hour: family.property_int_value("rocksdb.estimate-num-keys") or 0
            for hour, family in self._segments.items()
        }

    def get(self, key: bytes) -> bytes | None:
        with reading(self._path):
            for hour in sorted(self._segments, reverse=True):
                value: bytes | None = self._segments[hour].get(key)
                if value is not None:
                    return value
        return None

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        for hour in sorted(self._segments):
            yield from rows(self._segments[hour], self._path)

    def apply(self, changes: Iterable[Change], mark: StoreMark) -> None:
        super().apply(changes, mark)
        self._expire(self._oldest_hour(mark.seen_ms))

    def load(self, changes: Iterable[Change], seen_ms: int) -> None:
        super().load(changes, seen_ms)
        self._expire(self._oldest_hour(seen_ms))

    def close(self) -> None:
        self._segments.clear()
        super().close()

    def _batch(self, changes: Iterable[Change], seen_ms: int) -> Any:
        oldest = self._oldest_hour(seen_ms)
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                continue  # the ledger forgets by the hour, never by the key
            hour = LedgerEntry.unpack(value).at_ms // HOUR_MS
            if hour < oldest:
                continue  # restored from a changelog that keeps a little longer
            self._segment(hour)
            handle = self._db.get_column_family_handle(f"{_SEGMENT}{hour}")
            batch.put(key, value, handle)
            self._counts[hour] += 1
        return batch

    def _oldest_hour(self, now_ms: int) -> int:
        return (now_ms - self._window_ms) // HOUR_MS

    def _segment(self, hour: int) -> Any:
        if hour not in self._segments:
            name = f"{_SEGMENT}{hour}"
            family = self._db.create_column_family(name, self._engine.options())
            self._segments[hour] = self._families[name] = family
            self._counts[hour] = 0
        return self._segments[hour]

    def _expire(self, oldest: int) -> None:
        for hour in [hour for hour in self._segments if hour < oldest]:
            self._drop(hour)
        while len(self._segments) > 1 and sum(self._counts.values()) > (
            self._max_entries
        ):
            self._on_shortened(self._drop(min(self._segments)))

    def _drop(self, hour: int) -> int:
        name = f"{_SEGMENT}{hour}"
        del self._segments[hour], self._families[name]
        self._db.drop_column_family(name)
        return self._counts.pop(hour)
