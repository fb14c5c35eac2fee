"""What a fetch hands on at once is bounded by records and by bytes, and loses none."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.consumer.subscription_state import Assignment

from agents.fetch_bounds import BoundedResult
from agents.fetched_records import UNPACKING

TP = TopicPartition("in", 0)


class Ten(BoundedResult):
    limit_bytes = 10


@dataclass
class Records:
    """Records of these sizes, as aiokafka unpacks them."""

    sizes: list[int]
    next_fetch_offset: int = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.next_fetch_offset == len(self.sizes):
            raise StopIteration
        size = self.sizes[self.next_fetch_offset]
        self.next_fetch_offset += 1
        return SimpleNamespace(
            offset=self.next_fetch_offset - 1,
            serialized_value_size=size,
            serialized_key_size=-1,
        )


def handed_on(sizes: list[int], max_records: int | None = None) -> list[list[int]]:
    """Return the offsets that each call brings, until there are no more."""
    assignment = Assignment([TP])
    assignment.state_value(TP).seek(0)
    records = Records(sizes)
    result = Ten(TP, assignment=assignment, partition_records=records, backoff=0)
    found = []
    while result.has_more():
        found.append([record.offset for record in result.getall(max_records)])
        assert assignment.state_value(TP).position == records.next_fetch_offset
    return [offsets for offsets in found if offsets]


async def test_large_records_come_a_few_at_a_time():
    assert handed_on([6, 6, 6, 6, 6]) == [[0, 1], [2, 3], [4]]


async def test_a_record_beyond_the_limit_comes_alone():
    assert handed_on([50, 50]) == [[0], [1]]


async def test_small_records_come_as_many_as_asked_for():
    assert handed_on([2, 2, 2, 2], max_records=3) == [[0, 1, 2], [3]]


async def test_a_partition_that_was_paused_meanwhile_hands_nothing_on():
    assignment = Assignment([TP])
    assignment.state_value(TP).seek(0)
    records = Records([1])
    result = Ten(TP, assignment=assignment, partition_records=records, backoff=0)
    assignment.state_value(TP).pause()
    assert result.getall() == []


@pytest.mark.parametrize("name", UNPACKING)
def test_the_code_of_the_fetcher_asks_for_the_name_that_is_replaced(name):
    assert "FetchResult" in getattr(Fetcher, name).__code__.co_names
    assert aiokafka_fetcher.FetchResult is FetchResult
