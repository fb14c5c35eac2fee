"""A request topic that cannot be read waits, or ends the worker; never a hot loop."""

from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from agents import unreadable
from agents.sources import SourceLostError, TopicEnds
from agents.unreadable import AGAIN_S, Unreadable
from streams.clock import ManualClock

TP = TopicPartition("in", 0)


@dataclass
class Town:
    """A broker with some records of one topic, and a worker that reads it."""

    begin: int = 10
    end: int = 20
    away: bool = False
    clock: ManualClock = field(default_factory=ManualClock)
    fatal: list[BaseException] = field(default_factory=list)

    async def ends(self, _bootstrap, _group, tps):
        if self.away:
            raise KafkaConnectionError
        begins, ends = dict.fromkeys(tps, self.begin), dict.fromkeys(tps, self.end)
        return TopicEnds(begins=begins, ends=ends, committed={})


@pytest.fixture
def town(monkeypatch):
    town = Town()
    monkeypatch.setattr(unreadable, "read_ends", town.ends)
    monkeypatch.setattr(unreadable, "SOON_S", 0.0)
    return town


@pytest.fixture
def source(town):
    return Unreadable(bootstrap="", group="", clock=town.clock, fatal=town.fatal.append)


async def test_a_topic_that_may_not_be_read_is_left_alone_for_a_while(town, source):
    await source.failed(TopicAuthorizationFailedError("in"))
    assert not source.readable("in")
    assert source.readable("other")
    town.clock.advance(AGAIN_S)
    assert source.readable("in")
    assert not town.fatal


@pytest.mark.parametrize("at", [9, 21])
async def test_what_is_next_and_not_there_any_more_ends_the_worker(town, source, at):
    await source.failed(OffsetOutOfRangeError({TP: at}))
    [error] = town.fatal
    assert isinstance(error, SourceLostError)
    assert f"in[0]: offset {at} is next, the topic has 10 to 20" in str(error)
    assert not source.readable("in")


@pytest.mark.parametrize("at", [10, 20])
async def test_a_leader_that_caught_up_meanwhile_is_read_on(town, source, at):
    await source.failed(OffsetOutOfRangeError({TP: at}))
    assert source.readable("in")
    assert not town.fatal


async def test_nobody_decides_while_the_broker_is_away(town, source):
    town.away = True
    await source.failed(OffsetOutOfRangeError({TP: 9}))
    assert source.readable("in")
    assert not town.fatal


async def test_a_partition_without_a_position_yet_is_nobodys_fault(town, source):
    await source.failed(NoOffsetForPartitionError(TP))
    assert source.readable("in")
    assert not town.fatal
