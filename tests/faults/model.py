"""The LM of a campaign: `penstock fake-lm` as a process that may die and come back."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

from tests.integration.eventually import eventually
from tests.integration.processes import REPO

ORDINARY: Final = {
    "latency": "exponential",
    "latency_ms": 60,
    "spread_ms": 0,
    "hang_rate": 0,
    "busy_rate": 0,
    "error_rate": 0.005,
    "garbage_rate": 0,
}
"""How the LM is on a good day: not perfect."""


class LMProcess:
    """A fake LM on one port; what it was asked is in its log."""

    def __init__(self, log: Path, port: int) -> None:
        self.log = log
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self.open()

    def open(self) -> None:
        """Listen, on the same port as before."""
        command = ["agents", "fake-lm", "--port", str(self.port), "--log", self.log]
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", *map(str, command)],
            cwd=REPO,
            stdout=subprocess.DEVNULL,
        )
        eventually(self._answers, within_s=30, what="a fake LM")
        self.behave(**ORDINARY)

    def shut(self) -> None:
        """End it; calls in flight are cut off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    close = shut

    def behave(self, **changes: Any) -> None:
        """Answer differently from now on."""
        self._ask("/control", json.dumps(changes).encode())

    def mend(self) -> None:
        """Be as on a good day."""
        if self._process is None:
            self.open()
        self.behave(**ORDINARY)

    def _answers(self) -> bool:
        try:
            self._ask("/v1/models", None)
        except OSError:
            return False
        return True

    def _ask(self, path: str, body: bytes | None) -> None:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, body, timeout=10) as reply:
            reply.read()
