"""Runs a command that must not outlive whoever holds the other end of our stdin.

States: *watching* (the command runs, stdin is open) → *released* (a byte arrived: the
command may outlive everyone, we leave) or *ending* (stdin closed, because the holder
stopped, crashed or was killed: SIGTERM, then SIGKILL). A pipe and not the parent's
death signal, which fires when the *thread* that started us ends.

Run as a file, with nothing but the standard library: it starts in milliseconds.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from types import FrameType

LOOK_EVERY_S = 0.1  # how long the command's own end may go unnoticed
GRACE_S = 10.0  # SIGTERM to SIGKILL; Kafka needs under 3 s


def main(command: list[str]) -> int:
    """Run *command*; print its pid; return its exit code, or 0 once released."""
    signal.signal(signal.SIGTERM, _leave)
    # Our stderr is the command's log; our stdout tells the pid and nothing else.
    child = subprocess.Popen(  # noqa: S603 - the command is our whole purpose
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr
    )
    released = False
    try:
        # A holder that died already is noticed below, by its closed pipe.
        with contextlib.suppress(BrokenPipeError):
            print(child.pid, flush=True)  # noqa: T201
        while child.poll() is None:
            if select.select([sys.stdin], [], [], LOOK_EVERY_S)[0]:
                released = bool(os.read(sys.stdin.fileno(), 1))
                break
    finally:
        if not released:
            _end(child)
    return 0 if released else child.returncode


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _leave(_signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
