"""Where brokers keep their data: a folder each, named after the owner's pid."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from streams.clock import SystemClock

STALE_S: Final = 3_600.0  # younger ones may belong to another pid namespace


def new_folder(cache: Path) -> Path:
    """Make a data folder for a broker of this process; sweep what killed ones left."""
    brokers = cache / "brokers"
    brokers.mkdir(parents=True, exist_ok=True)
    for folder in brokers.glob("run-*-*"):
        if _is_stale(folder):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=brokers, prefix=f"run-{os.getpid()}-"))


def _is_stale(folder: Path) -> bool:
    try:
        age_s = SystemClock().now_ms() / 1_000 - folder.stat().st_mtime
    except OSError:  # swept by somebody else
        return False
    return age_s > STALE_S and not _alive(folder.name.split("-")[1])


def _alive(owner: str) -> bool:
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):  # not ours to signal, or not a name of ours
        return True
    return True
