"""Fetches are bounded by the bytes that come out of them, not by those that go in.

A broker bounds a fetch by its compressed bytes, aiokafka (pinned to 0.14.0) what it
hands on by a number of records. Well-compressed traffic fits both and needs gigabytes:
500 records of a mebibyte travel as one. Here what a partition hands on at once is
bounded by its bytes as well; the rest stays compressed until the next fetch.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from aiokafka import ConsumerRecord
from aiokafka.consumer.fetcher import FetchResult

from agents.fetched_records import substitute


def bound(fetcher: Any, limit_bytes: int) -> None:
    """Let *fetcher* hand on *limit_bytes* of a partition at once, and one record.

    Only this instance changes, and no other consumer of the process.
    """
    bounded = type("Bounded", (BoundedResult,), {"limit_bytes": limit_bytes})
    substitute(fetcher, FetchResult=bounded)


class BoundedResult(FetchResult):  # type: ignore[misc] # untyped
    """What was fetched of one partition, handed on piece by piece."""

    limit_bytes: ClassVar[int]
    _partition_records: Any

    def getall(self, max_records: int | None = None) -> Sequence[ConsumerRecord]:
        """Return the next records: *max_records* or the limit, what comes first."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        taken: list[ConsumerRecord] = []
        size = 0
        for record in self._partition_records:
            taken.append(record)
            size += record.serialized_value_size + record.serialized_key_size
            if size >= self.limit_bytes or len(taken) == max_records:
                self._update_position()
                return taken
        self._update_position()
        self._partition_records = None
        return taken
