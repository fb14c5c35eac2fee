"""The allocator gives back what it keeps: a worker's memory falls after a burst.

glibc keeps freed memory below whatever is still in use, so a burst of large requests
leaves a worker at its peak for good: an operator sees a leak, and so does the kernel
that looks for somebody to end. ``malloc_trim`` returns every free page.

Before that the cycle collector frees what lies in rings. By itself it comes seldom
(``agents/worker.py``), and looks at objects that lived for a while once in hours; an
error of a user's code may hold the request that it came from until then.

Both cost CPU, so they are asked rarely; and by a thread of its own, which holds the
interpreter while it collects, and lets go of it while it trims.
"""

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


def give_back() -> None:
    """Collect rings, and give back what is free, where the C library can."""
    gc.collect()
    if _MALLOC_TRIM is not None:
        _MALLOC_TRIM(0)


class Trimmer:
    """Gives free memory back to the system, from time to time."""

    def __init__(
        self, work: Callable[[], object] = give_back, *, every_s: float = EVERY_S
    ) -> None:
        self._work = work
        self._every_s = every_s
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._loop, name="trimmer", daemon=True).start()

    def stop(self) -> None:
        """Give nothing back any more."""
        self._stop.set()

    def _loop(self) -> None:
        while not self._stop.wait(self._every_s):
            self._work()
