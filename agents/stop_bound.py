"""The bound of a stop: who takes longer than a stop may take is ended by force.

Its thread is there from the beginning. A worker that ends for want of memory cannot
start one any more, and waited for it for ever: a thread that has no memory to begin
with does not say so.
"""

import threading
import time
from collections.abc import Callable


class StopBound:
    """Calls what leaves the process, once a stop has taken too long."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._within_s = 0.0
        self._leave: Callable[[], object] = int
        threading.Thread(target=self._wait, name="stop-bound", daemon=True).start()

    def begin(self, within_s: float, leave: Callable[[], object]) -> None:
        """Call *leave*, on a thread, unless the process has ended *within_s*."""
        self._within_s, self._leave = within_s, leave
        self._begun.set()

    def _wait(self) -> None:
        self._begun.wait()
        time.sleep(self._within_s)
        self._leave()
