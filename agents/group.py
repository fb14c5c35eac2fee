"""The consumer group as its operator sees it: how many are in it, and who has to go."""

import asyncio
from typing import Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError, UnknownMemberIdError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from agents.failures import (
    BrokerUnreachableError,
    EdgeError,
    GroupError,
    MemberUnknownError,
)
from agents.kafka_admin import REACH_WITHIN_S

log = structlog.get_logger(__name__)

LEAVE_GROUP: Final = 13
STABLE: Final = "Stable"
REQUESTS: Final = ".requests"

SIGN_OFF_WITHIN_S: Final = 3.0
"""Less than what a stop with nothing to drain may take (agents/worker.py)."""


async def member_count(admin: AIOKafkaAdminClient, group: str) -> int:
    """Return how many members *group* has; a static one counts while it is away."""
    [description] = await admin.describe_consumer_groups([group])
    [(_error, _group, _state, _type, _protocol, members, *_)] = description.groups
    return len(members)


async def other_sets(
    admin: AIOKafkaAdminClient, group: str, sources: frozenset[str]
) -> int | None:
    """Return how many members of *group* read other request topics than *sources*.

    A static member counts while it is away. None during a rebalance: nobody knows.
    """
    [description] = await admin.describe_consumer_groups([group])
    [found] = description.to_object()["groups"]
    if found["members"] and found["state"] != STABLE:
        return None
    return sum(
        _reads(member["member_metadata"]) != sources for member in found["members"]
    )


def _reads(metadata: bytes) -> frozenset[str]:
    """Return the request topics among what a member subscribes to."""
    topics = ConsumerProtocolMemberMetadata.decode(metadata).subscription
    return frozenset(topic for topic in topics if topic.endswith(REQUESTS))


async def leave(bootstrap: str, group: str, instance: str) -> None:
    """Remove the static member *instance* from *group*: its partitions move at once.

    Raises:
        MemberUnknownError: the group has no such member.
        GroupError: the broker refuses.
        BrokerUnreachableError: no broker answers.
    """
    # No member id: whoever has the name now.
    for refusal in await _refusals(bootstrap, _LeaveGroup(group, "", instance)):
        if refusal is UnknownMemberIdError:
            raise MemberUnknownError(group, instance)
        raise GroupError(group, refusal.__name__)


async def sign_off(bootstrap: str, group: str, member_id: str) -> None:
    """Remove the dynamic member *member_id* from *group*; one that is gone is fine.

    Over a connection of its own: a broker answers the requests of one in turn, and the
    member's may hold a join that waits for others. It is a member's last word: bounded
    in time, and what goes wrong is logged. Its session times out then.
    """
    try:
        async with asyncio.timeout(SIGN_OFF_WITHIN_S):
            refusals = await _refusals(bootstrap, _LeaveGroup(group, member_id, None))
    except (EdgeError, TimeoutError) as error:
        log.warning("group.not_left", error=repr(error))
        return
    if others := {each.__name__ for each in refusals} - {UnknownMemberIdError.__name__}:
        log.warning("group.not_left", error=min(others))


async def _refusals(bootstrap: str, request: "_LeaveGroup") -> list[type[KafkaError]]:
    """Send *request* to the coordinator of its group; return what it objects to."""
    group = request.group
    client: Any = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        async with asyncio.timeout(REACH_WITHIN_S):
            await client.bootstrap()
        node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        reply = await client.send(node, request)
    except (OSError, TimeoutError) as error:
        raise BrokerUnreachableError(bootstrap) from error
    except KafkaError as error:
        raise GroupError(group, repr(error)) from error
    finally:
        await client.close()
    codes = [reply.error_code, *(code for _id, _instance, code in reply.members)]
    return [for_code(code) for code in codes if code]


# aiokafka knows versions 0 and 1, which name a member by an id that only the member
# itself has. Version 3 is the first that takes the name of a static one (KIP-345), in
# place of the id or beside it.


class _LeaveGroupResponse(Response):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = LEAVE_GROUP
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "members",
            Array(
                ("member_id", String("utf-8")),
                ("group_instance_id", String("utf-8")),
                ("error_code", Int16),
            ),
        ),
    )


class _LeaveGroupStruct(RequestStruct):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = LEAVE_GROUP
    API_VERSION = 3
    RESPONSE_TYPE = _LeaveGroupResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        (
            "members",
            Array(
                ("member_id", String("utf-8")), ("group_instance_id", String("utf-8"))
            ),
        ),
    )


class _LeaveGroup(Request[_LeaveGroupStruct]):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = LEAVE_GROUP

    def __init__(self, group: str, member_id: str, instance: str | None) -> None:
        self.group = group
        self._member = (member_id, instance)

    def build(self, request_struct_class: type[_LeaveGroupStruct]) -> _LeaveGroupStruct:
        return request_struct_class(self.group, [self._member])
