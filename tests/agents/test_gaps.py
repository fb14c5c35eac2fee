"""Gaps: what was handed on and never came is read again, and nothing else is."""

import asyncio
from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition

from agents.gaps import LOOKS, Gaps
from agents.metrics import Metrics

IN = "penstock.support.requests"
TP = TopicPartition(IN, 0)


@dataclass
class Reading:
    """A consumer and the task that it hands records on to."""

    handed: dict[TopicPartition, int] = field(default_factory=dict)
    taken: int | None = 0
    seeks: int = 0

    def handed_on(self) -> dict[TopicPartition, int]:
        return self.handed

    async def perform_seek(self) -> None:
        self.seeks += 1

    def taken_to(self, topic: str, partition: int) -> int | None:
        assert (topic, partition) == TP
        return self.taken


@pytest.fixture
def reading() -> Reading:
    return Reading()


@pytest.fixture
def gaps(reading: Reading) -> Gaps:
    return Gaps(consumer=lambda: reading, taken_to=reading.taken_to, metrics=Metrics())


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_records_behind_a_gap_are_not_taken_and_come_again(gaps, reading):
    reading.taken = 5
    assert not gaps.before(IN, 0, 5)
    assert not gaps.before(IN, 0, 3)  # they come again, after a seek
    assert gaps.before(IN, 0, 6)
    assert gaps.before(IN, 0, 7)
    await turn()
    assert reading.seeks == 1


async def test_a_task_that_is_not_there_misses_nothing(gaps, reading):
    reading.taken = None
    assert not gaps.before(IN, 0, 6)
    reading.handed = {TP: 6}
    for _ in range(2 * LOOKS):
        gaps.look()
    await turn()
    assert reading.seeks == 0


async def test_what_never_comes_is_read_again_though_nothing_follows(gaps, reading):
    reading.handed = {TP: 6}
    for _ in range(LOOKS - 1):
        gaps.look()
    await turn()
    assert reading.seeks == 0
    gaps.look()
    await turn()
    assert reading.seeks == 1


async def test_what_comes_slowly_is_on_its_way(gaps, reading):
    reading.handed = {TP: 100}
    for reading.taken in range(3 * LOOKS):
        gaps.look()
    await turn()
    assert reading.seeks == 0


async def test_a_seek_that_fails_is_told_and_the_next_gap_seeks_again(gaps, reading):
    async def fail() -> None:
        reading.seeks += 1
        raise ConnectionResetError

    reading.perform_seek = fail
    gaps.before(IN, 0, 6)
    await turn()
    gaps.before(IN, 0, 6)
    await turn()
    assert reading.seeks == 2
