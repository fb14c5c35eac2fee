"""The LM of the benchmarks: ``penstock fake-lm`` in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.lab import Lab, LabError


@contextmanager
def fake_lm(lab: Lab, latency_ms: int) -> Iterator[str]:
    """Run an LM that takes *latency_ms* for every answer; give its address."""
    command = [sys.executable, "-m", "agents", "fake-lm"]
    process = subprocess.Popen(  # noqa: S603 - our own command line
        [*command, "--latency-ms", str(latency_ms)],
        env=dict(lab.env),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline() if process.stdout else ""
        address = said.strip().removeprefix("fake LM on ")
        if not address.startswith("http"):
            raise LabError(said)
        yield address
    finally:
        process.terminate()
        process.wait()
