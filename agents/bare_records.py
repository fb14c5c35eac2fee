"""Bare records: keys and values as aiokafka's parser gives them, for fast readers.

What aiokafka (pinned to 0.14.0) hands on is made in Python, record by record, and costs
more than parsing and storing together. Who wants keys and values can do without.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException

from agents.fetched_records import substitute

PIECE_RECORDS: Final = 100
"""What is handed on at once, at most: usual batches are about as large."""
RECORD_BYTES: Final = 512
"""A slice ends as well where its values take more than this for each record asked for:
large ones take longer."""

BareRecord = tuple[bytes, bytes | None]
"""Key and value."""
_VALUE: Final = itemgetter(1)


class BareRecords(PartitionRecords):  # type: ignore[misc] # untyped
    """What was fetched of one partition, committed records only, piece by piece.

    ``next_fetch_offset`` moves behind a batch with the batch's last piece, and not
    before: who begins there again gets some records twice, and misses none.
    """

    next_fetch_offset: int
    _aborted_producers: set[int]
    _records: Any

    def _unpack_records(self) -> Iterator[Sequence[BareRecord]]:
        """Yield records, a few at a time, as aiokafka's method does one by one."""
        while self._records.has_next():
            batch = self._records.next_batch()
            if not batch.validate_crc():
                raise CorruptRecordException(str(self._tp))
            records = [] if self._is_hidden(batch) else self._bare(batch)
            for end in range(PIECE_RECORDS, len(records), PIECE_RECORDS):
                yield records[end - PIECE_RECORDS : end]
            # Of the batch, not of its last record: compaction may have removed that.
            self.next_fetch_offset = batch.next_offset
            rest = len(records) % PIECE_RECORDS or PIECE_RECORDS
            if records:
                yield records[-rest:]

    def _bare(self, batch: Any) -> list[BareRecord]:
        begin = self.next_fetch_offset
        if batch.base_offset >= begin:
            return [(r.key, r.value) for r in batch]
        # A fetch from the middle of a batch brings all of it.
        return [(r.key, r.value) for r in batch if r.offset >= begin]

    def _is_hidden(self, batch: Any) -> bool:
        """Say whether *batch* is a marker, or belongs to an aborted transaction."""
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch:
            if self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            return True
        return bool(
            batch.is_transactional and batch.producer_id in self._aborted_producers
        )


class BareResult(FetchResult):  # type: ignore[misc] # untyped
    """What was fetched of one partition, handed on in slices."""

    _partition_records: BareRecords | None

    def getall(self, max_records: int) -> Sequence[BareRecord]:
        """Return the next records: *max_records*, or fewer where they are large.

        Nothing where that is less than a piece: the next call brings it.
        """
        found = self._partition_records
        if not self.check_assignment(self._topic_partition) or found is None:
            return []
        taken: list[BareRecord] = []
        left_bytes = max_records * RECORD_BYTES
        while left_bytes > 0 and len(taken) + PIECE_RECORDS <= max_records:
            piece = next(found, None)
            if piece is None:
                self._update_position()
                self._partition_records = None
                return taken
            taken += piece
            left_bytes -= sum(map(len, filter(None, map(_VALUE, piece))))
        self._update_position()
        return taken


class BareConsumer(AIOKafkaConsumer):  # type: ignore[misc] # untyped
    """A consumer of committed bare records; ``getmany`` must be told how many."""

    def __init__(self, **options: Any) -> None:
        super().__init__(isolation_level="read_committed", **options)

    async def start(self) -> None:
        await super().start()
        substitute(self._fetcher, FetchResult=BareResult, PartitionRecords=BareRecords)
        # Else what one partition needs next is fetched only once all are read, or a
        # tenth of a second later.
        self._fetcher._prefetch_backoff = 0  # noqa: SLF001 - pinned, and no option
