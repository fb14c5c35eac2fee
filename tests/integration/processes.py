"""A worker as its operator has it: a process, its log, its HTTP port, signals."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from tests.integration.eventually import eventually
from tests.integration.growing_logs import whole_lines

REPO: Final = Path(__file__).parents[2]
READY_WITHIN_S: Final = 90.0
"""Patience, not a promise: on a machine with three other lanes, loading the code alone
was seen to take forty seconds."""
WORKER: Final = ("agents", "worker")
"""The module that is a worker, and what it is told."""
PREFIX: Final = "PENSTOCK_"
SAMPLE: Final = re.compile(r"^(\w+)(\{.*\})? (\S+)$", re.MULTILINE)


def bare_environment() -> dict[str, str]:
    """Return this process' environment without any setting of penstock's."""
    env = os.environ  # noqa: TID251 - a child's environment
    return {k: v for k, v in env.items() if not k.startswith(PREFIX)}


class WorkerProcess:
    """``penstock worker``, started."""

    def __init__(
        self, env: Mapping[str, str], log: Path, entry: Sequence[str] = WORKER
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", *entry],
                env=dict(env),
                cwd=REPO,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def ready(self, within_s: float = READY_WITHIN_S) -> "WorkerProcess":
        """Return it once ``/readyz`` says so and it has partitions."""
        eventually(self._is_ready, within_s=within_s, what=f"ready; {self._last()}")
        return self

    def wait(self, within_s: float) -> int:
        """Return its exit code."""
        return self._process.wait(within_s)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, and to nobody else."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def terminate(self, within_s: float = 40.0) -> int:
        """Ask it to stop; return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait(within_s)

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self.exit_code is None:
            self.send(signal.SIGCONT)
            self.kill()

    @property
    def url(self) -> str:
        """Where its HTTP server is."""
        return f"http://127.0.0.1:{self._port()}"

    def rss_bytes(self) -> int:
        return psutil.Process(self.pid).memory_info().rss

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what it logged under *name*."""
        found = []
        for line in whole_lines(self.log):
            if line.startswith("{") and f'"{name}"' in line:
                event = json.loads(line)
                if event.get("event") == name:
                    found.append(event)
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of *name* that carry *labels*."""
        text = self.get("/metrics")[1]
        return sum(
            float(value)
            for found, at, value in SAMPLE.findall(text)
            if found == name and all(f'{k}="{v}"' in at for k, v in labels.items())
        )

    def last_words(self) -> str:
        """Return the line for its operator with which it ended."""
        lines = whole_lines(self.log)
        return [ln for ln in lines if ln.startswith("penstock worker: ")][-1]

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body; status 0 while nobody answers."""
        port = self._port()
        if port is None:
            return 0, ""
        url = f"http://127.0.0.1:{port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def _port(self) -> int | None:
        events = self.events("worker.starting")
        # A restarted worker appends to the same log.
        return events[-1]["http_port"] if events else None

    def _is_ready(self) -> bool:
        assert self.exit_code is None, f"it ended: {self._last()}"
        return self.get("/readyz")[0] == 200 and self.metric("penstock_tasks_live") > 0

    def _last(self) -> str:
        return "\n".join(whole_lines(self.log)[-8:])
