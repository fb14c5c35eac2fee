"""One set of pipelines at a time: who reads other topics than the group is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata

from agents import checks
from agents.checks import ShapeError, refuse_other_sets
from agents.group import other_sets

ASK, ECHO = "penstock.ask.requests", "penstock.echo.requests"
OURS = frozenset({ASK, ECHO})


@dataclass(frozen=True)
class Described:
    """What a coordinator says of a group."""

    state: str
    subscriptions: Sequence[Sequence[str]]

    def to_object(self) -> dict:
        members = [
            {"member_metadata": ConsumerProtocolMemberMetadata(0, s, b"").encode()}
            for s in self.subscriptions
        ]
        if self.state != "Stable":
            members = [{"member_metadata": b""} for _ in members]
        return {"groups": [{"state": self.state, "members": members}]}


@dataclass
class Coordinator:
    """A group, as it is from one question to the next."""

    told: list[Described] = field(default_factory=list)

    async def describe_consumer_groups(self, _groups: list[str]) -> list[Described]:
        return [self.told.pop(0) if len(self.told) > 1 else self.told[0]]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(checks, "LOOK_EVERY_S", 0.0)


@pytest.mark.parametrize(
    ("subscriptions", "others"),
    [
        ([], 0),
        ([[ASK, ECHO], [ECHO, ASK]], 0),
        ([[ASK, ECHO, "penstock-main-sessions-changelog"]], 0),
        ([[ASK]], 1),
        ([[ASK, ECHO, "penstock.extra.requests"], [ASK, ECHO], [ASK]], 2),
    ],
)
async def test_members_with_more_or_fewer_pipelines_are_counted(subscriptions, others):
    group = Coordinator([Described("Stable", subscriptions)])
    assert await other_sets(group, "g", OURS) == others


async def test_an_empty_group_has_no_set():
    assert await other_sets(Coordinator([Described("Empty", [])]), "g", OURS) == 0


async def test_during_a_rebalance_nobody_knows_and_one_waits():
    rebalance = Described("PreparingRebalance", [[ASK]])
    assert await other_sets(Coordinator([rebalance]), "g", OURS) is None
    fine = Coordinator([rebalance, rebalance, Described("Stable", [[ASK, ECHO]])])
    await refuse_other_sets(fine, "g", OURS)
    other = Coordinator([rebalance, Described("Stable", [[ASK]])])
    with pytest.raises(ShapeError, match="another set of pipelines"):
        await refuse_other_sets(other, "g", OURS)


async def test_who_is_not_current_any_more_need_not_know():
    rebalance = Coordinator([Described("PreparingRebalance", [[ASK]])])
    current = iter([True, True, False])
    await refuse_other_sets(rebalance, "g", OURS, current=lambda: next(current))
