"""How many calls an LM gets at once: a window that narrows when it says 429.

States of a slot: *free*, *held* by a call, *handed over* to the call that waited
longest (held from then on, though that call has yet to wake up). ``acquire`` and
``_hand_over`` move a slot out of *free*, ``release`` moves it back. At every moment
held slots plus handed-over slots are ``in_flight``; they exceed the window only just
after it narrowed, and then nothing is handed over until enough calls have ended.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace

from streams.clock import Clock
from streams.errors import ModelBusyError
from streams.metrics import Recorder
from streams.stage import LM, Answer, LMCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How many calls may be in flight; additive increase, multiplicative decrease."""

    limit: int
    """Never more than this, however well it goes."""
    size: float
    """Between 1 and *limit*; the fraction is credit towards the next slot."""

    @classmethod
    def open(cls, limit: int) -> "Window":
        """Return a window that allows all of *limit*."""
        return cls(limit=limit, size=float(limit))

    @property
    def slots(self) -> int:
        return int(self.size)

    def wider(self) -> "Window":
        """Return the window after a good answer: one slot more per windowful."""
        if self.size >= self.limit:
            return self
        return replace(self, size=min(self.limit, self.size + 1 / self.size))

    def narrower(self) -> "Window":
        """Return the window after the LM asked us to come back later: half."""
        return replace(self, size=max(1.0, self.size / 2))


class Limiter:
    """Slots of one LM, first come, first served."""

    def __init__(self, limit: int) -> None:
        self._window = Window.open(limit)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._era = 0

    @property
    def slots(self) -> int:
        """How many calls may be in flight now."""
        return self._window.slots

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def acquire(self) -> int:
        """Wait for a slot; return the era in which it was got, for :meth:`busy`."""
        if not self._waiting and self._in_flight < self._window.slots:
            self._in_flight += 1
            return self._era
        slot = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.release()  # handed over to a call that no longer wants it
            with suppress(ValueError):  # _hand_over may have thrown it out already
                self._waiting.remove(slot)
            raise
        return self._era

    def release(self) -> None:
        """Give a slot back; the call that waited longest gets it."""
        self._in_flight -= 1
        self._hand_over()

    def answered(self) -> None:
        """Widen the window a little: the LM kept up."""
        self._window = self._window.wider()

    def busy(self, era: int) -> None:
        """Halve the window, once for all calls that were in flight together.

        A burst of 429s answers one overload: only the first of an era counts.
        """
        if era == self._era:
            self._era += 1
            self._window = self._window.narrower()

    def _hand_over(self) -> None:
        while self._waiting and self._in_flight < self._window.slots:
            slot = self._waiting.popleft()
            if not slot.done():
                self._in_flight += 1
                slot.set_result(None)


class LimitedLM:
    """An LM, asked by a bounded number of calls at a time."""

    def __init__(
        self, inner: LM, limiter: Limiter, recorder: Recorder, clock: Clock
    ) -> None:
        self._inner = inner
        self._limiter = limiter
        self._recorder = recorder
        self._clock = clock

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def fingerprint(self) -> str:
        return self._inner.fingerprint

    def available(self) -> bool:
        return self._inner.available()

    async def complete(self, stage: str, call: LMCall) -> Answer:
        """Wait for a slot, then ask; see :class:`streams.stage.LM` for errors."""
        with call.queued():
            era = await self._slot()
        try:
            await call.may_begin()
            answer = await self._inner.complete(stage, call)
            self._limiter.answered()
        except ModelBusyError:
            self._limiter.busy(era)
            raise
        finally:
            self._limiter.release()
            self._show()
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _slot(self) -> int:
        began_s = self._clock.monotonic_s()
        try:
            era = await self._limiter.acquire()
        finally:
            self._show()
        waited_s = self._clock.monotonic_s() - began_s
        self._recorder.observe("penstock_lm_wait_seconds", waited_s, lm=self.name)
        return era

    def _show(self) -> None:
        in_flight, waiting = self._limiter.in_flight, self._limiter.waiting
        self._recorder.gauge("penstock_lm_in_flight", in_flight, lm=self.name)
        self._recorder.gauge("penstock_lm_waiting", waiting, lm=self.name)
