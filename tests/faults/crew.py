"""The workers of a campaign, and a supervisor that starts again whoever ended."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil

from tests.integration.growing_logs import whole_lines
from tests.integration.lab import Lab
from tests.integration.processes import WORKER, WorkerProcess

LOOK_EVERY_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A worker that was not told to end, and did."""

    at_ms: int
    name: str
    code: int
    last: str
    """The last line that is not JSON: what its operator reads."""


@dataclass(eq=False, slots=True, kw_only=True)
class Place:
    """A worker's place: a name, a state folder, and who works there now."""

    name: str
    process: WorkerProcess | None = None
    wanted: bool = False
    starts: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)


class Crew:
    """Starts, stops and supervises the workers of one app."""

    def __init__(
        self,
        lab: Lab,
        bootstrap: str,
        names: Sequence[str],
        entry: Sequence[str] = WORKER,
    ) -> None:
        self.places = {name: Place(name=name) for name in names}
        self.ended: list[Ended] = []
        self._lab = lab
        self._bootstrap = bootstrap
        self._entry = entry
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def start(
        self, name: str, *, entry: Sequence[str] = (), **settings: object
    ) -> WorkerProcess:
        """Start the worker at place *name*, on the state that is there.

        What is said of *entry* and *settings* is for this start, not for a next one.
        """
        place = self.places[name]
        with place.lock:
            place.starts += 1
            place.wanted = True
            place.process = self._lab.worker(
                f"{name}-{place.starts}",
                entry or self._entry,
                **{
                    "bootstrap": self._bootstrap,
                    "state_dir": self._lab.folder / f"state-{name}",
                    **settings,
                },
            )
            return place.process

    @contextlib.contextmanager
    def down(self, name: str, how: signal.Signals = signal.SIGKILL) -> Iterator[None]:
        """End the worker at place *name*; start it again after the block."""
        place = self.places[name]
        with place.lock:
            self.end(name, how)
            yield
            self.start(name)

    @contextlib.contextmanager
    def unsupervised(self) -> Iterator[None]:
        """Start nobody again who ends within the block."""
        with contextlib.ExitStack() as locked:
            for place in self.places.values():
                locked.enter_context(place.lock)
            yield

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> int | None:
        """End the worker at place *name* and return its exit code."""
        place = self.places[name]
        with place.lock:
            place.wanted = False
            if place.process is None or place.process.exit_code is not None:
                return place.process and place.process.exit_code
            place.process.send(how)
            return place.process.wait(within_s=60)

    def at(self, name: str) -> WorkerProcess:
        """Return who works at place *name*."""
        process = self.places[name].process
        assert process is not None, f"nobody works at {name}"
        return process

    def owner_of(self, port: int) -> str:
        """Return the place whose worker has a connection from local *port*."""
        for place in self.places.values():
            with contextlib.suppress(psutil.Error, AttributeError):
                process = psutil.Process(place.process.pid)
                if any(c.laddr.port == port for c in process.net_connections("tcp4")):
                    return place.name
        return ""

    def running(self) -> Mapping[str, WorkerProcess]:
        """Return who is at work now, by place."""
        return {
            name: place.process
            for name, place in self.places.items()
            if place.process is not None and place.process.exit_code is None
        }

    def close(self) -> None:
        """Supervise no more, and end everybody as they are."""
        self._stop.set()
        self._thread.join(10)

    def _supervise(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            for place in self.places.values():
                if place.lock.acquire(blocking=False):
                    try:
                        self._look_after(place)
                    finally:
                        place.lock.release()

    def _look_after(self, place: Place) -> None:
        process = place.process
        if not place.wanted or process is None or process.exit_code is None:
            return
        self.ended.append(
            Ended(
                at_ms=time.time_ns() // 1_000_000,
                name=place.name,
                code=process.exit_code,
                last=_last_line(process),
            )
        )
        self.start(place.name)


def _last_line(process: WorkerProcess) -> str:
    lines = whole_lines(process.log)
    return next((line for line in reversed(lines) if not line.startswith("{")), "")
