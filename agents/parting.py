"""A member that leaves its group is gone at once, whatever it was waiting for.

aiokafka (pinned to 0.14.0) says so when its join has come to an end, and over the same
connection. A join is answered once every member has joined, and a broker answers the
requests of one connection in turn: so one member that is slow keeps all those that
leave. Their processes end before they were heard, and the group waits for them for a
whole session timeout.

==========================  =====================================================
what it waits for           what the group is told
==========================  =====================================================
nothing                     that its id leaves; aiokafka says it again, to no effect
its join                    that its id leaves; the broker then ends the join
its sync                    that its id leaves; its own sync may have no answer then
its first join, with an id  the same: it has the id (KIP-394) before it has to wait
its first join, no id yet   nothing at first. The broker gives it an id at once, for
                            a second join: none is sent, and that id leaves
==========================  =====================================================
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.protocol.group import JoinGroupRequest

log = structlog.get_logger(__name__)

CLOSE_WITHIN_S: Final = 1.0
"""For what is left to do once the group has let us go. It takes milliseconds, or waits
for something that may not come any more."""


async def part(coordinator: Any, leave: Callable[[str], Awaitable[None]]) -> None:
    """Close *coordinator* (aiokafka's), and *leave* by each id the group may know.

    *leave* is bounded in time, raises nothing, and has a connection of its own.
    Called in the coordinator's thread.
    """
    given = _join_no_more(coordinator)
    known = coordinator.member_id
    closing = asyncio.create_task(coordinator.close())
    if known:
        await leave(known)
    await _closed(coordinator, closing)
    for member_id in given - {known, ""}:
        await leave(member_id)


def _join_no_more(coordinator: Any) -> set[str]:
    """Let *coordinator* send no join; return the ids with which it would have.

    Whoever has left, and hears that its id is unknown, joins anew.
    """
    send, given = coordinator._send_req, set()  # noqa: SLF001 - pinned

    async def send_unless_join(request: Any) -> Any:
        if isinstance(request, JoinGroupRequest):
            given.add(coordinator.member_id)
            raise GroupCoordinatorNotAvailableError
        return await send(request)

    coordinator._send_req = send_unless_join  # noqa: SLF001
    return given


async def _closed(coordinator: Any, closing: asyncio.Task[None]) -> None:
    _, late = await asyncio.wait({closing}, timeout=CLOSE_WITHIN_S)
    for task in late:
        # And what it waits for: the join, the sync, or a rebalance of Faust's.
        task.cancel()
    [failure] = await asyncio.gather(closing, return_exceptions=True)
    if failure is None:
        return
    if isinstance(failure, Exception):
        log.warning("group.close_failed", error=repr(failure))
    await coordinator._stop_heartbeat_task()  # noqa: SLF001
    await coordinator._stop_commit_offsets_refresh_task()  # noqa: SLF001
