"""The consumer group as its operator sees it: how many are in it, and who has to go."""

import asyncio
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError, UnknownMemberIdError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from agents.failures import BrokerUnreachableError, GroupError, MemberUnknownError
from agents.kafka_admin import REACH_WITHIN_S

LEAVE_GROUP: Final = 13
STABLE: Final = "Stable"
REQUESTS: Final = ".requests"


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
    client: Any = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        async with asyncio.timeout(REACH_WITHIN_S):
            await client.bootstrap()
        node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        reply = await client.send(node, _LeaveGroup(group, instance))
    except (OSError, TimeoutError) as error:
        raise BrokerUnreachableError(bootstrap) from error
    except KafkaError as error:
        raise GroupError(group, repr(error)) from error
    finally:
        await client.close()
    codes = [reply.error_code, *(code for _id, _instance, code in reply.members)]
    for refusal in (for_code(code) for code in codes if code):
        if refusal is UnknownMemberIdError:
            raise MemberUnknownError(group, instance)
        raise GroupError(group, refusal.__name__)


# aiokafka knows versions 0 and 1, which name a member by an id that only the member
# itself has. Version 3 is the first that takes the name of a static one (KIP-345).


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

    def __init__(self, group: str, instance: str) -> None:
        self._group = group
        self._instance = instance

    def build(self, request_struct_class: type[_LeaveGroupStruct]) -> _LeaveGroupStruct:
        # No member id: whoever has the name now.
        return request_struct_class(self._group, [("", self._instance)])
