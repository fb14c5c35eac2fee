"""Facts: on what the figures were measured, and with which versions."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

OURS: Final = ("faust-streaming", "aiokafka", "rocksdict", "dspy", "confluent-kafka")


def facts(root: Path, peers: Mapping[str, str]) -> dict[str, str]:
    """Return what somebody needs to know who compares these figures with others."""
    load = psutil.getloadavg()[0]
    return {
        "commit": _commit(root),
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load before": f"{load:.2f}",
        "python": platform.python_version(),
        **{name: version(name) for name in OURS},
        **peers,
    }


def _commit(root: Path) -> str:
    command = ("git", "-C", str(root), "describe", "--always", "--dirty")
    done = subprocess.run(  # noqa: S603 - our own command line
        command, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = (line.split(":", 1)[1] for line in lines if line.startswith("model name"))
    return next(names, "unknown processor").strip()
