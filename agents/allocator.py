"""The allocator gives back what it keeps: a worker's memory falls after a burst.

glibc keeps freed memory below whatever is still in use, so a burst of large requests
leaves a worker at its peak for good: an operator sees a leak, and so does the kernel
that looks for somebody to end. ``malloc_trim`` returns every free page.

Before that the cycle collector frees what lies in rings. By itself it comes seldom
(``agents/worker.py``), and looks at objects that lived for a while once in hours; an
error of a user's code may hold the request that it came from until then.

Both cost CPU, so they are asked rarely. The loop collects, for what is finalised there
belongs to it; a thread trims, and ctypes lets go of the interpreter meanwhile.
"""

import asyncio
import contextlib
import ctypes
import gc
import threading
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 60.0
"""Pages that are wanted again cost some 7 us each, once in so long."""

_MALLOC_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)

TRIMS: Final = _MALLOC_TRIM is not None
"""Whether the C library is glibc."""


def trim() -> None:
    """Give back what is free; nothing happens where the C library is another one."""
    if _MALLOC_TRIM is not None:
        _MALLOC_TRIM(0)


class Trimmer:
    """Collects rings and gives free memory back, from time to time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        give_back: Callable[[], object] = trim,
        every_s: float = EVERY_S,
    ) -> None:
        self._loop = loop
        self._give_back = give_back
        self._every_s = every_s
        self._collected = threading.Event()
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._work, name="trimmer", daemon=True).start()

    def stop(self) -> None:
        """Give nothing back any more."""
        self._stop.set()

    def _work(self) -> None:
        while not self._stop.wait(self._every_s):
            # A loop that is closed meanwhile has no rings to look for.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._collect)
            if self._collected.wait(self._every_s):
                self._collected.clear()
                self._give_back()

    def _collect(self) -> None:
        gc.collect()
        self._collected.set()
