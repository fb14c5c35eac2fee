"""The watchdog: a process whose event loop stands still ends itself, and says why.

A stuck loop answers no probe, hears no signal and runs no shutdown. Where nobody
probes, nobody would ever notice. Two watch it: a thread, which says it in one line; and
one in C behind it, for code that never lets go of the interpreter (a regular expression
that backtracks), while which no thread of Python's runs.
"""

import asyncio
import faulthandler
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import ClassVar, Final

import structlog

from agents.exit_codes import ExitCode
from agents.failures import EdgeError
from streams.clock import Clock

log = structlog.get_logger(__name__)

BEATS: Final = 10
"""Signs of life, and looks for them, in the time that a loop may stand still."""

BEHIND: Final = 1.5
"""The one in C waits for so many times as long: the other one says it better."""

SAY_WITHIN_S: Final = 5.0
"""A pipe that nobody reads may be what the loop is stuck in."""


class LoopStuckError(EdgeError):
    """The event loop does not turn."""

    code: ClassVar[str] = "worker.loop_stuck"

    def __init__(self, late_s: float) -> None:
        super().__init__(
            f"the event loop has not turned for {late_s:.0f} s; the log has the stacks "
            "of all threads. Code that blocks has to end within PENSTOCK_STUCK_S"
        )


class Watchdog:
    """Ends the process once a loop has not turned for *stuck_s*."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        *,
        stuck_s: float,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._stuck_s = stuck_s
        self._every_s = min(1.0, stuck_s / BEATS)
        self._leave = leave
        self._beat_s = clock.monotonic_s()
        self._stop = threading.Event()

    def start(self) -> None:
        """Watch from now on; call it in the loop."""
        self._beat()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()
        faulthandler.cancel_dump_traceback_later()

    def _beat(self) -> None:
        if self._stop.is_set():
            return
        self._beat_s = self._clock.monotonic_s()
        faulthandler.dump_traceback_later(
            self._stuck_s * BEHIND, exit=True, file=sys.__stderr__ or 2
        )
        self._loop.call_later(self._every_s, self._beat)

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            late_s = self._clock.monotonic_s() - self._beat_s
            if late_s > self._stuck_s:
                self._end(LoopStuckError(late_s))
                return

    def _end(self, error: LoopStuckError) -> None:
        saying = threading.Thread(target=_say, args=(error,), daemon=True)
        saying.start()
        saying.join(SAY_WITHIN_S)
        self._leave(int(ExitCode.FAILED))


def _say(error: LoopStuckError) -> None:
    log.error(error.code, error=str(error), stacks=_stacks())
    print(f"penstock worker: {error}", file=sys.stderr)  # noqa: T201 - the one line


def _stacks() -> dict[str, list[str]]:
    """Return where every thread is.

    Not by faulthandler: it keeps the interpreter while it writes, and this process
    would hang for ever where nobody reads what it says.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        names.get(ident, str(ident)): [
            f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_stack(frame)
        ]
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - documented
    }
