"""A static member says its name with every heartbeat, and hears that it was replaced.

aiokafka (pinned to 0.14.0) names the instance when it joins and never again. Where two
workers have one name, the older one then hears that its member id is unknown, joins
anew, and throws the newer one out, who does the same: both run, for ever, and neither
works. With the name in the heartbeat (KIP-345, version 3) the broker tells the older.
"""

from collections.abc import Callable
from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.types import Int16, Int32, Schema, String

HEARTBEAT: Final = 12

FENCED_INSTANCE_ID: Final = 82
"""The name belongs to another member now. No error of aiokafka's has this number."""


def say_name(coordinator: Any, instance: str, taken: Callable[[], None]) -> None:
    """Let *coordinator* name *instance* in its heartbeats.

    *taken* is called, in its thread, when the broker gave the name to somebody else.
    """
    send = coordinator._send_req  # noqa: SLF001 - pinned

    async def send_named(request: Any) -> Any:
        if isinstance(request, HeartbeatRequest):
            request = _NamedHeartbeat(coordinator, instance)
        response = await send(request)
        if getattr(response, "error_code", 0) == FENCED_INSTANCE_ID:
            taken()
        return response

    coordinator._send_req = send_named  # noqa: SLF001


class _HeartbeatResponse(Response):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = HEARTBEAT
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class _HeartbeatStruct(RequestStruct):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = HEARTBEAT
    API_VERSION = 3
    RESPONSE_TYPE = _HeartbeatResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class _NamedHeartbeat(Request[_HeartbeatStruct]):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = HEARTBEAT

    def __init__(self, coordinator: Any, instance: str) -> None:
        self._said = (
            coordinator.group_id,
            coordinator.generation,
            coordinator.member_id,
            instance,
        )

    def build(self, request_struct_class: type[_HeartbeatStruct]) -> _HeartbeatStruct:
        return request_struct_class(*self._said)
