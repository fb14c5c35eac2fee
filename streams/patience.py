"""A timeout that lets in what came while the process slept, before it gives up.

A worker that was stopped for a while (a paused machine, a loop that was held up) wakes
to find an answer in its socket and the timeout of the call due in the same turn of the
loop. asyncio cancels then, although the answer is there, and it is paid again.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

LATE_S: Final = 0.5
"""A timer that fires later than this was held up: the loop has not turned meanwhile."""

MOMENT_S: Final = 0.25
"""What it waits then: enough for what has arrived to be read."""


class PatientTimeout:
    """As ``asyncio.timeout``, and entered in the same way; but see above."""

    def __init__(self, delay_s: float | None) -> None:
        """Give up after *delay_s*; None for never, until it is rescheduled."""
        self._scope: asyncio.Timeout | None = asyncio.timeout(None)
        self._expired = False
        self._loop = asyncio.get_running_loop()
        self._due = None if delay_s is None else self._loop.time() + delay_s
        self._timer: asyncio.TimerHandle | None = None

    def when(self) -> float | None:
        """Return when it is due, in the loop's time."""
        return self._due

    def expired(self) -> bool:
        """Say whether it has given up."""
        return self._expired if self._scope is None else self._scope.expired()

    def reschedule(self, due: float | None) -> None:
        """Let it be due at another moment; only inside the block."""
        self._stop()
        self._due = due
        if due is not None:
            self._timer = self._loop.call_at(due, self._fire, due)

    async def __aenter__(self) -> Self:
        await self._entered().__aenter__()
        self.reschedule(self._due)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        # It knows its task, and that one the error it ends with, whose frames know us:
        # a ring, if we went on knowing it.
        scope, self._scope = self._entered(), None
        try:
            await scope.__aexit__(kind, error, trace)
        finally:
            self._expired = scope.expired()
            del scope

    def _entered(self) -> asyncio.Timeout:
        if self._scope is None:
            reason = "the block has ended"
            raise RuntimeError(reason)
        return self._scope

    def _fire(self, due: float) -> None:
        if self._loop.time() - due > LATE_S:
            self._timer = self._loop.call_later(MOMENT_S, self._give_up)
        else:
            self._give_up()

    def _give_up(self) -> None:
        self._entered().reschedule(self._loop.time())

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
