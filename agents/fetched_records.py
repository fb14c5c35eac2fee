r"""Fetched records: a header name that is not UTF-8 stops nobody.

Kafka takes any bytes as the name of a header; aiokafka (pinned to 0.14.0) decodes them
strictly while it unpacks a fetch. The error ends the fetch loop and with it the worker,
and the next one, and the next: one record from anybody stops the app for ever.

Here such a name is read with its bytes escaped (``\xff``), and everything else as
before. Only the batch that failed is read again, by aiokafka's parser in Python, from
behind the last record that was handed on; batches of ordinary records never notice.
"""

from collections.abc import Iterator
from struct import Struct
from types import FunctionType, MethodType
from typing import Any, Final, SupportsIndex

from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint_py

BATCH_HEAD: Final = Struct(">qi")
"""Base offset, and the length of what follows; the same in all message formats."""

UNPACKING: Final = ("_proc_fetch_request", "fetched_records")
"""The methods of a fetcher that know what a response is unpacked to."""


def read_leniently(fetcher: Any) -> None:
    """Make *fetcher*, of one started aiokafka consumer, survive any header name.

    Doing it again changes nothing.
    """
    substitute(fetcher, MemoryRecords=KeptRecords, PartitionRecords=LenientRecords)


def substitute(fetcher: Any, **classes: type) -> None:
    """Make *fetcher* use *classes* for those of the same names in its module.

    It looks them up as globals of its module. So this one instance gets the same code
    with other globals, and no other consumer of the process changes.
    """
    for name in UNPACKING:
        method = getattr(fetcher, name).__func__
        same = FunctionType(
            method.__code__,
            method.__globals__ | classes,
            argdefs=method.__defaults__,
        )
        setattr(fetcher, name, MethodType(same, fetcher))


def forget_errors(fetcher: Any) -> None:
    """Let *fetcher* ask again for all that it could not fetch.

    It keeps an error for each partition until somebody reads that one. What is paused
    meanwhile would hear of it long after it was mended.
    """
    kept = fetcher._records  # noqa: SLF001 - pinned
    for tp, found in list(kept.items()):
        if isinstance(found, aiokafka_fetcher.FetchError):
            del kept[tp]


class KeptRecords:
    """The batches of a fetch; the one handed out last can be had again, leniently."""

    def __init__(self, raw: bytes) -> None:
        self.size_in_bytes = lambda: len(raw)
        self._raw = raw
        self._batches = MemoryRecords(raw)
        self._handed = 0
        self._again: LenientBatch | None = None
        self._is_lenient = False

    def has_next(self) -> bool:
        return self._again is not None or self._batches.has_next()

    def next_batch(self) -> Any:
        if self._again is not None:
            again, self._again = self._again, None
            return again
        self._is_lenient = False
        self._handed += 1
        return self._batches.next_batch()

    def back(self) -> bool:
        """Go back to the last batch, leniently; False if that did not help before."""
        if self._is_lenient:
            return False
        self._is_lenient = True
        self._again = LenientBatch(self._last())
        return True

    def _last(self) -> bytes:
        # Walked only now: aiokafka's batches do not tell their bytes.
        end = start = 0
        for _ in range(self._handed):
            start = end
            _, length = BATCH_HEAD.unpack_from(self._raw, start)
            end = start + BATCH_HEAD.size + length
        return self._raw[start:end]


class LenientRecords(aiokafka_fetcher.PartitionRecords):  # type: ignore[misc] # untyped
    """The records of one partition of a fetch."""

    _records: KeptRecords

    def _unpack_records(self) -> Iterator[Any]:
        # What it knows of offsets and aborted transactions is kept on self, so it can
        # begin anew at any batch: what it handed on of that batch, it skips.
        while True:
            try:
                yield from super()._unpack_records()
            except (UnicodeDecodeError, CorruptRecordException) as error:
                if not (is_about_text(error) and self._records.back()):
                    raise
            else:
                return


def is_about_text(error: BaseException) -> bool:
    """Say whether *error* is the Cython parser's, or its twin's, for such a name."""
    return isinstance(error.__cause__ or error, UnicodeDecodeError)


class LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # untyped
    """A record batch whose text decodes, whatever it is."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = LenientBytes(self._buffer)

    def _read_msg(self) -> Any:
        # The one in Cython may insist on a plain bytearray.
        return super()._read_msg(decode_varint_py)


class LenientBytes(bytearray):
    """Bytes whose slices escape what is not text instead of raising."""

    def __getitem__(self, at: SupportsIndex | slice) -> Any:
        found = super().__getitem__(at)
        return LenientBytes(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)
