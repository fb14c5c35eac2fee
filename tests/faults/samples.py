"""Looks at running workers, every few seconds: what they hold, what waits in them."""

import contextlib
import threading
import time
from collections import Counter
from typing import Final

import psutil

from tests.faults.crew import Crew
from tests.faults.history import Sample
from tests.integration.processes import SAMPLE, WorkerProcess

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
    told = Counter[str]() if stopped else sums(process.get("/metrics")[1])
    return Sample(
        at_ms=time.time_ns() // 1_000_000,
        worker=name,
        pid=process.pid,
        rss_bytes=seen.memory_info().rss,
        files=seen.num_fds(),
        sockets=len(seen.net_connections("inet")),
        waiting_bytes=told["penstock_task_waiting_bytes"],
        running=told["penstock_task_running"],
        tasks=told["penstock_asyncio_tasks"],
        clients=told["penstock_kafka_clients"],
    )


def sums(exposition: str) -> Counter[str]:
    """Return what metrics say: the sum of all samples of each name."""
    found: Counter[str] = Counter()
    for name, _labels, value in SAMPLE.findall(exposition):
        found[name] += float(value)
    return found
