"""Looks at running workers, every few seconds: memory, files, what waits in them."""

import contextlib
import threading
import time
from typing import Final

import psutil

from tests.faults.crew import Crew
from tests.faults.history import Sample
from tests.integration.processes import WorkerProcess

EVERY_S: Final = 5.0


class Sampler:
    """A thread that takes samples until it is stopped."""

    def __init__(self, crew: Crew) -> None:
        self.samples: list[Sample] = []
        self._crew = crew
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)

    def _work(self) -> None:
        while not self._stop.wait(EVERY_S):
            for name, process in self._crew.running().items():
                # It may have ended, or been stopped, meanwhile.
                with contextlib.suppress(psutil.Error, OSError, AssertionError):
                    self.samples.append(_sample(name, process))


def _sample(name: str, process: WorkerProcess) -> Sample:
    seen = psutil.Process(process.pid)
    stopped = seen.status() == psutil.STATUS_STOPPED
    return Sample(
        at_ms=time.time_ns() // 1_000_000,
        worker=name,
        pid=process.pid,
        rss_bytes=seen.memory_info().rss,
        files=seen.num_fds(),
        waiting_bytes=(0 if stopped else process.metric("penstock_task_waiting_bytes")),
        running=0 if stopped else process.metric("penstock_task_running"),
    )
