"""Whether an LM can be reached, and how calls wait while it cannot.

States: *up* (at first, and after any answer) and *down* (after a refused connection,
or a call cut off twice in a row). ``over`` moves to up and wakes every waiting call;
``wait`` moves to down. While down, each waiting call tries again after a delay that
doubles, so a bounded number of calls probes the LM and no other machinery has to.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from streams.clock import Clock
from streams.metrics import Recorder

BASE_S: Final = 0.05
CEILING_S: Final = 5.0
"""Longest wait between two tries of one call: bounds how late an end is noticed."""

HOLD_S: Final = 15.0
"""Without a failure for this long, an LM that is down counts as available again:
all who waited may have given up, and somebody has to try. Longer than a delay and a
connection attempt together, so that it never happens while calls still probe."""

log = structlog.get_logger()


def delay_s(tries: int, chance: float) -> float:
    """Seconds to wait after the *tries*-th failure; *chance* in 0..1 spreads calls."""
    longest_s = min(CEILING_S, BASE_S * 2.0 ** min(tries, 16))
    return longest_s * (0.5 + chance / 2)


class Outage:
    """The outage of one LM, if there is one."""

    def __init__(
        self, lm: str, recorder: Recorder, clock: Clock, chance: Callable[[], float]
    ) -> None:
        self._lm = lm
        self._recorder = recorder
        self._clock = clock
        self._chance = chance
        self._up = asyncio.Event()
        self._up.set()
        self._failed_s = 0.0
        self.answers = 0
        """How often the LM has answered, whatever it said."""
        recorder.gauge("penstock_lm_up", 1, lm=lm)

    def available(self) -> bool:
        """Return False while the LM is down, and known to be."""
        if self._up.is_set():
            return True
        return self._clock.monotonic_s() - self._failed_s > HOLD_S

    def over(self) -> None:
        """Take note of an answer: the LM is up."""
        self.answers += 1
        if not self._up.is_set():
            self._up.set()
            self._recorder.gauge("penstock_lm_up", 1, lm=self._lm)
            log.info("lm_reachable", lm=self._lm)

    async def wait(self, tries: int, error: Exception, *, down: bool) -> None:
        """Wait before the next try, or until another call gets an answer."""
        if down:
            self._down(error)
        pause_s = delay_s(tries, self._chance())
        if self._up.is_set():
            await asyncio.sleep(pause_s)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._up.wait()

    def _down(self, error: Exception) -> None:
        self._failed_s = self._clock.monotonic_s()
        if self._up.is_set():
            self._up.clear()
            self._recorder.gauge("penstock_lm_up", 0, lm=self._lm)
            log.warning("lm_unreachable", lm=self._lm, reason=str(error))
