"""`penstock worker` that loads everything, and begins only when SIGUSR1 says so.

A process takes seconds of CPU to load. Members that shall come and go faster than that
are loaded before.
"""

import importlib
import signal
from typing import Final

LATE: Final = ("tests.faults.late_entry", "worker")
LOADED: Final = "late.loaded"
"""What it logs once it may be told to begin."""

if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    for module in ("agents.worker", "streams.stages.predict", "dspy"):
        importlib.import_module(module)
    begin = importlib.import_module("agents.__main__").main
    print(f'{{"event": "{LOADED}"}}', flush=True)  # noqa: T201 - as its log is
    signal.sigwait({signal.SIGUSR1})
    begin()
