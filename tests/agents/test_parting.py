"""Parting: whoever leaves is gone, whatever its coordinator waits for, and stays away.

The coordinator is aiokafka's own; the broker behind it is a fake.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRebalanceListener
from aiokafka.client import ConnectionGroup
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import MemberIdRequired, NoError, UnknownMemberIdError
from aiokafka.protocol.group import (
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from structlog.testing import capture_logs

from agents import parting
from agents.parting import part
from tests.agents.test_edge_fakes import until

GROUP = "main"


class Broker:
    """A group's coordinator, by one connection: it answers what comes in turn."""

    def __init__(self) -> None:
        self.cluster = ClusterMetadata()
        self.members: set[str] = set()
        """Those that the group waits for, the ones with no more than an id too."""
        self.heard: list[str] = []
        self.held: set[str] = set()
        """What is not answered before somebody lets it go on."""
        self._turn = asyncio.Lock()
        self._ids = 0
        self._answers: dict[str, asyncio.Future[Any]] = {}

    async def coordinator_lookup(self, *_: object) -> int:
        return 0

    async def ready(self, *_: object, **__: object) -> bool:
        return True

    def set_topics(self, _: object) -> None:
        """There is one."""

    async def send(self, _node: int, request: Any, *, group: ConnectionGroup) -> Any:
        async with self._turn:
            name = type(request).__name__.removesuffix("Request")
            self.heard.append(name)
            if name in self.held:
                await self._answer(name)
            return getattr(self, f"_{name}")(request)

    async def leave(self, member_id: str) -> None:
        """Hear of it on another connection, as agents/group.py does."""
        self.heard.append(f"{member_id} leaves")
        self.members.discard(member_id)
        # A join is answered then; a sync is not.
        self.go_on("JoinGroup")

    def go_on(self, name: str) -> None:
        self.held.discard(name)
        if name in self._answers:
            self._answers.pop(name).set_result(None)

    async def _answer(self, name: str) -> None:
        self._answers[name] = asyncio.get_running_loop().create_future()
        await self._answers[name]

    def _JoinGroup(self, request: JoinGroupRequest) -> object:  # noqa: N802 - by name
        asked = request._member_id  # noqa: SLF001
        if not asked:
            self._ids += 1
            self.members.add(f"m{self._ids}")
            return _reply(MemberIdRequired, member_id=f"m{self._ids}")
        if asked not in self.members:
            return _reply(UnknownMemberIdError, member_id="")
        return _reply(
            NoError,
            member_id=asked,
            leader_id="another",
            generation_id=1,
            group_protocol="roundrobin",
        )

    def _SyncGroup(self, _: SyncGroupRequest) -> object:  # noqa: N802
        nothing = ConsumerProtocol.ASSIGNMENT(0, [], b"").encode()
        return _reply(NoError, member_assignment=nothing)

    def _Heartbeat(self, _: HeartbeatRequest) -> object:  # noqa: N802
        return _reply(NoError)

    def _LeaveGroup(self, request: LeaveGroupRequest) -> object:  # noqa: N802
        self.members.discard(request._member_id)  # noqa: SLF001
        return _reply(NoError)


def _reply(error: type, **fields: object) -> SimpleNamespace:
    return SimpleNamespace(error_code=error.errno, API_VERSION=5, **fields)


@pytest.fixture
def broker() -> Broker:
    return Broker()


class Gate(ConsumerRebalanceListener):
    """Keeps a rebalance before its join, until it is opened."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.event.set()
        self.waiting = False

    async def on_partitions_revoked(self, revoked: object) -> None:
        self.waiting = not self.event.is_set()
        await self.event.wait()

    async def on_partitions_assigned(self, assigned: object) -> None:
        """As it is."""


NewMember = Callable[..., GroupCoordinator]


@pytest.fixture
async def new_member(broker: Broker) -> AsyncIterator[NewMember]:
    made: list[GroupCoordinator] = []

    def new(listener: Gate | None = None) -> GroupCoordinator:
        subscription = SubscriptionState()
        made.append(
            GroupCoordinator(
                broker,
                subscription,
                group_id=GROUP,
                enable_auto_commit=False,
                retry_backoff_ms=1,
            )
        )
        subscription.subscribe({"in"}, listener=listener)
        return made[-1]

    yield new
    # Nobody waits for anything any more.
    assert all(each._coordination_task.done() for each in made)  # noqa: SLF001
    assert all(each._heartbeat_task is None for each in made)  # noqa: SLF001


async def test_a_member_that_waits_for_nothing_leaves(broker, new_member):
    member = new_member()
    await until(lambda: member._heartbeat_task is not None)  # noqa: SLF001
    await part(member, broker.leave)
    assert not broker.members
    came = ["JoinGroup", "JoinGroup", "SyncGroup"]
    # Once more by aiokafka itself, which says nothing new.
    assert broker.heard == [*came, "m1 leaves", "LeaveGroup"]


async def test_a_member_whose_join_waits_for_others_leaves(broker, new_member):
    member = new_member()
    await until(lambda: member._heartbeat_task is not None)  # noqa: SLF001
    broker.held.add("JoinGroup")
    member.request_rejoin()
    await until(lambda: broker.heard[-1] == "JoinGroup")
    await part(member, broker.leave)
    assert not broker.members
    assert broker.heard[-2:] == ["JoinGroup", "m1 leaves"]


async def test_a_member_whose_first_join_waits_for_others_leaves(broker, new_member):
    broker.held.add("JoinGroup")
    member = new_member()
    await until(lambda: broker.heard == ["JoinGroup"])
    broker.go_on("JoinGroup")
    broker.held.add("JoinGroup")
    await until(lambda: broker.heard == ["JoinGroup", "JoinGroup"])
    await part(member, broker.leave)
    assert not broker.members
    assert broker.heard[-1] == "m1 leaves"


async def test_a_member_that_is_given_an_id_while_it_leaves_leaves_with_that(
    broker, new_member
):
    """The group would wait for whoever has an id, and does not join."""
    broker.held.add("JoinGroup")
    member = new_member()
    await until(lambda: broker.heard == ["JoinGroup"])
    leaving = asyncio.create_task(part(member, broker.leave))
    await asyncio.sleep(0)
    broker.go_on("JoinGroup")
    await leaving
    assert not broker.members
    assert broker.heard == ["JoinGroup", "m1 leaves"]


async def test_whoever_was_forgotten_meanwhile_does_not_come_back(broker, new_member):
    """Its heartbeat was told that its id is unknown, which else means: join anew."""
    gate = Gate()
    member = new_member(gate)
    await until(lambda: member._heartbeat_task is not None)  # noqa: SLF001
    gate.event.clear()
    member.request_rejoin()
    await until(lambda: gate.waiting)
    broker.members.clear()
    member.reset_generation()
    leaving = asyncio.create_task(part(member, broker.leave))
    await asyncio.sleep(0)
    gate.event.set()
    await leaving
    assert not broker.members
    assert broker.heard == ["JoinGroup", "JoinGroup", "SyncGroup"]


async def test_a_sync_that_is_never_answered_is_not_waited_for(
    broker, new_member, monkeypatch
):
    monkeypatch.setattr(parting, "CLOSE_WITHIN_S", 0.0)
    broker.held.add("SyncGroup")
    member = new_member()
    await until(lambda: broker.heard[-1:] == ["SyncGroup"])
    await part(member, broker.leave)
    assert not broker.members


async def test_a_coordinator_that_fails_while_it_closes_ends_no_stop(
    broker, new_member, monkeypatch
):
    """Whoever waits for the consumer's thread would wait for ever."""
    monkeypatch.setattr(broker, "_SyncGroup", lambda _: "no response at all")
    broker.held.add("SyncGroup")
    member = new_member()
    await until(lambda: broker.heard[-1:] == ["SyncGroup"])
    leaving = asyncio.create_task(part(member, broker.leave))
    await asyncio.sleep(0)
    broker.go_on("SyncGroup")
    with capture_logs() as said:
        await leaving
    assert [event["event"] for event in said] == ["group.close_failed"]
    assert not broker.members


async def test_a_member_without_a_coordinator_has_nobody_to_leave(broker, new_member):
    broker.ready = _never_ready
    await part(new_member(), broker.leave)
    assert broker.heard == []


async def _never_ready(*_: object, **__: object) -> bool:
    return False
