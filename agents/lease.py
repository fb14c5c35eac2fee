"""The lease: until when no other worker can have our partitions, by our own clock.

The group takes a member's partitions away when it has not heard of it for the session
timeout. So whoever was heard of, by a heartbeat *sent* at some moment, is alone until
that moment plus the timeout. A worker that slept, or lost its broker, cannot know what
happened behind that: it begins nothing that costs until it has been heard again. Or a
successor might have finished, and paid for, the very call.

Renewed in the consumer's thread, asked in the loop that runs the requests.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import IllegalGenerationError, NoError, UnknownMemberIdError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from agents.instance_name import FENCED_INSTANCE_ID
from streams.clock import Clock

log = structlog.get_logger(__name__)

OVER: Final = frozenset(
    {IllegalGenerationError.errno, UnknownMemberIdError.errno, FENCED_INSTANCE_ID}
)
"""The group goes on without us."""


class Lease:
    """Which partitions are surely ours, now."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        """Begin without any; *timeout_s* is the session timeout."""
        self.waiting = 0
        """Runs that wait to be sure again."""
        self._clock = clock
        self._timeout_s = timeout_s
        self._until_s = -math.inf
        self._partitions: frozenset[int] = frozenset()
        self._lapses = 0
        self._losses: Counter[int] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()

    def renewed(self, sent_s: float) -> None:
        """Take note that the group has heard what was sent at *sent_s* (monotonic)."""
        if sent_s >= self._until_s:
            self._lapses += 1
        self._until_s = sent_s + self._timeout_s
        self.tell()

    def given(self, partitions: Iterable[int], sent_s: float) -> None:
        """Take note of an assignment, whose request was sent at *sent_s*."""
        given = frozenset(partitions)
        self._losses.update(self._partitions - given)
        self._partitions = given
        self.renewed(sent_s)

    def over(self) -> None:
        """Take note that the group goes on without us."""
        self._until_s = -math.inf

    def holds(self, partition: int) -> bool:
        """Say whether nobody else can be given *partition* at this moment."""
        return (
            self._clock.monotonic_s() < self._until_s and partition in self._partitions
        )

    def era(self, partition: int) -> int:
        """Return a number that is another one once *partition* was out of our hands.

        The group may have given it to somebody, and back to us, before we noticed.
        """
        return self._lapses + self._losses[partition]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once *condition* holds; it is asked again after each change."""
        if condition():
            return
        if not self.waiting:
            log.warning("lease.over")
        began_s = self._clock.monotonic_s()
        # Known before we look again: a change after that look wakes us.
        self._loop = asyncio.get_running_loop()
        self.waiting += 1
        try:
            while not condition():
                self._changed.clear()
                await self._changed.wait()
        finally:
            self.waiting -= 1
        if not self.waiting:
            waited_s = round(self._clock.monotonic_s() - began_s, 3)
            log.info("lease.again", waited_s=waited_s)

    def tell(self) -> None:
        """Let those who wait look again; callable from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)


def renew_with(
    coordinator: Any, lease: Lease, topics: frozenset[str], clock: Clock
) -> None:
    """Let *coordinator* (aiokafka's, pinned to 0.14.0) renew *lease* as it is heard.

    *topics* are those whose partitions count. While the group rebalances, heartbeats
    are answered and prove nothing: it may go on without us at any moment.
    """
    send = coordinator._send_req  # noqa: SLF001 - pinned

    async def send_and_note(request: Any) -> Any:
        sent_s = clock.monotonic_s()
        response = await send(request)
        code = getattr(response, "error_code", None)
        if isinstance(request, HeartbeatRequest):
            if code == NoError.errno:
                lease.renewed(sent_s)
            elif code in OVER:
                lease.over()
        elif isinstance(request, SyncGroupRequest) and code == NoError.errno:
            lease.given(_partitions(response.member_assignment, topics), sent_s)
        return response

    coordinator._send_req = send_and_note  # noqa: SLF001


def _partitions(assignment: bytes, topics: frozenset[str]) -> set[int]:
    decoded = ConsumerProtocol.ASSIGNMENT.decode(assignment)
    tps: list[TopicPartition] = decoded.partitions()
    return {tp.partition for tp in tps if tp.topic in topics}
