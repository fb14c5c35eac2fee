"""The demo's worker: `penstock worker` as a process of its own that dies with us."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agents.broker import guardian
from agents.failures import DemoWorkerError

STOP_WITHIN_S: Final = 30.0
"""The guardian ends it with SIGTERM, and after ten seconds with SIGKILL."""


class WorkerProcess:
    """A worker under a guardian: whatever ends this process ends the worker."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self._guard = subprocess.Popen(  # noqa: S603 - our own command line
                [
                    *(sys.executable, "-I", "-S", guardian.__file__),
                    *(sys.executable, "-m", "agents", "worker"),
                ],
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                # Ctrl-C in a terminal is for us; the worker drains when we say so.
                start_new_session=True,
            )
        if self._guard.stdout is None or not (line := self._guard.stdout.readline()):
            raise DemoWorkerError(self._guard.wait(), log)
        self.pid = int(line)

    def check(self) -> None:
        """Return if the worker is alive.

        Raises:
            DemoWorkerError: it is not.
        """
        code = self._guard.poll()
        if code is not None:
            raise DemoWorkerError(code, self.log)

    def stop(self) -> int:
        """Ask the worker to drain and leave; return its exit code."""
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe:
                pipe.close()
        return self._guard.wait(STOP_WITHIN_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
