"""Recognises a broker's process, so that a reused pid is never mistaken for it."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

GRACE_S: Final = 10.0  # SIGTERM to SIGKILL; Kafka needs under 3 s
LOOK_EVERY_S: Final = 0.05


def runs(pid: int, folder: Path) -> bool:
    """Whether *pid* is a live broker whose data are in *folder*."""
    return str(folder / "server.properties") in _arguments(pid)


def end(pid: int, folder: Path) -> bool:
    """Stop the broker *pid* of *folder*: SIGTERM, then SIGKILL; False if it is gone."""
    if not runs(pid, folder):
        return False
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return True
        for _ in range(round(GRACE_S / LOOK_EVERY_S)):
            if not runs(pid, folder):
                return True
            time.sleep(LOOK_EVERY_S)
    return True


def _arguments(pid: int) -> list[str]:
    """Return the command line of *pid*; empty for a dead or defunct process."""
    proc = Path("/proc")
    if (proc / "self" / "cmdline").exists():
        try:
            return (proc / str(pid) / "cmdline").read_text().split("\0")
        except OSError:
            return []
    listed = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["ps", "-ww", "-o", "args=", "-p", str(pid)],  # noqa: S607 - where ps is varies
        capture_output=True,
        text=True,
        check=False,
    )
    return listed.stdout.split()
