"""The lease: nothing is begun while another worker could have the partition."""

import asyncio
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.protocol.group import (
    HeartbeatRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)

from agents.lease import Lease, renew_with
from streams.clock import ManualClock

TIMEOUT_S = 6.0
IN = "penstock.support.requests"

HEARTBEAT = HeartbeatRequest("g", 1, "me")
SYNC = SyncGroupRequest("g", 1, "me", "", [])


@dataclass
class Coordinator:
    """A group coordinator's client that is told what the group answers."""

    clock: ManualClock
    answer: object = None
    takes_s: float = 0.0
    sent: list[object] = field(default_factory=list)

    async def _send_req(self, request: object) -> object:
        self.sent.append(request)
        self.clock.advance(self.takes_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Group:
    """A lease, renewed by a coordinator that the test speaks for."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.lease = Lease(self.clock, TIMEOUT_S)
        self.coordinator = Coordinator(self.clock)
        renew_with(self.coordinator, self.lease, frozenset({IN}), self.clock)

    async def hears(self, request: object, *, takes_s: float = 0.0, **answer: object):
        self.coordinator.takes_s = takes_s
        self.coordinator.answer = SimpleNamespace(**answer)
        return await self.sends(request)

    async def sends(self, request: object):
        return await self.coordinator._send_req(request)  # noqa: SLF001 - aiokafka's

    async def gives(self, *tps: tuple[str, int]) -> None:
        assignment = ConsumerProtocol.ASSIGNMENT(
            version=0, assignment=[(t, [p]) for t, p in tps], user_data=b""
        )
        await self.hears(SYNC, error_code=0, member_assignment=assignment.encode())


async def test_nothing_is_ours_before_the_group_gave_it():
    assert not Group().lease.holds(0)


async def test_what_the_group_gave_is_ours_for_a_session_timeout_and_no_longer():
    group = Group()
    await group.gives((IN, 0), (IN, 2), ("another topic", 1))
    assert [p for p in range(3) if group.lease.holds(p)] == [0, 2]
    group.clock.advance(TIMEOUT_S - 0.01)
    assert group.lease.holds(0)
    group.clock.advance(0.01)
    assert not group.lease.holds(0)


async def test_a_heartbeat_counts_from_when_it_was_sent():
    group = Group()
    await group.gives((IN, 0))
    group.clock.advance(5)
    await group.hears(HEARTBEAT, takes_s=4, error_code=0)
    group.clock.advance(1.9)
    assert group.lease.holds(0)
    group.clock.advance(0.1)
    assert not group.lease.holds(0)


@pytest.mark.parametrize("code", [22, 25, 82])
async def test_a_group_that_goes_on_without_us_ends_the_lease_at_once(code):
    group = Group()
    await group.gives((IN, 0))
    await group.hears(HEARTBEAT, error_code=code)
    assert not group.lease.holds(0)


async def test_an_answer_while_the_group_rebalances_proves_nothing():
    group = Group()
    await group.gives((IN, 0))
    group.clock.advance(5)
    await group.hears(HEARTBEAT, error_code=27)
    assert group.lease.holds(0)
    group.clock.advance(1)
    assert not group.lease.holds(0)


async def test_what_is_given_to_others_is_theirs_at_once():
    group = Group()
    await group.gives((IN, 0), (IN, 1))
    await group.gives((IN, 1))
    assert [p for p in range(2) if group.lease.holds(p)] == [1]


async def test_a_sync_that_failed_gives_nothing_and_other_requests_pass():
    group = Group()
    await group.hears(SYNC, error_code=27, member_assignment=b"")
    left = await group.hears(LeaveGroupRequest("g", "me"), error_code=0)
    assert left.error_code == 0
    assert not group.lease.holds(0)


async def test_a_heartbeat_that_failed_is_told_and_renews_nothing():
    group = Group()
    await group.gives((IN, 0))
    group.coordinator.answer = TimeoutError()
    with pytest.raises(TimeoutError):
        await group.sends(HEARTBEAT)
    group.clock.advance(TIMEOUT_S)
    assert not group.lease.holds(0)


async def test_a_lapse_and_a_loss_begin_another_era():
    group = Group()
    await group.gives((IN, 0), (IN, 1))
    first = group.lease.era(0), group.lease.era(1)
    group.clock.advance(1)
    await group.hears(HEARTBEAT, error_code=0)
    assert (group.lease.era(0), group.lease.era(1)) == first
    await group.gives((IN, 1))
    await group.gives((IN, 0), (IN, 1))
    assert group.lease.era(0) != first[0]
    assert group.lease.era(1) == first[1]
    group.clock.advance(TIMEOUT_S)
    await group.hears(HEARTBEAT, error_code=0)
    assert group.lease.era(1) != first[1]


async def test_a_group_that_went_on_without_us_and_took_us_back_is_another_era():
    group = Group()
    await group.gives((IN, 0))
    first = group.lease.era(0)
    await group.hears(HEARTBEAT, error_code=25)
    await group.gives((IN, 0))
    assert group.lease.era(0) != first


async def test_who_waits_goes_on_once_a_thread_has_heard_the_group():
    group = Group()
    await group.gives((IN, 0))
    group.clock.advance(TIMEOUT_S)

    def held() -> bool:
        return group.lease.holds(0)

    waiters = [asyncio.create_task(group.lease.until(held)) for _ in range(3)]
    await asyncio.sleep(0)
    assert group.lease.waiting == 3
    now_s = group.clock.monotonic_s()
    thread = threading.Thread(target=group.lease.renewed, args=(now_s,))
    thread.start()
    await asyncio.wait_for(asyncio.gather(*waiters), 10)
    thread.join()
    assert group.lease.waiting == 0


async def test_who_gives_up_waiting_waits_no_more():
    group = Group()
    waiter = asyncio.create_task(group.lease.until(lambda: False))
    await asyncio.sleep(0)
    group.lease.renewed(group.clock.monotonic_s())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiter.done()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert group.lease.waiting == 0
