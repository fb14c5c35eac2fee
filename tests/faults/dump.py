"""What a stopped worker has on disk, as `penstock state dump` prints it."""

import base64
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.integration.processes import REPO

Dump = Mapping[str, Mapping[int, Mapping[bytes, bytes]]]
"""By table, partition and key."""


def dump(env: Mapping[str, str], state: Path, tables: Iterable[str]) -> Dump:
    """Return what the stores below *state* hold; marks are left out."""
    found: dict[str, dict[int, dict[bytes, bytes]]] = {}
    for table in tables:
        command = ["agents", "state", "dump", table, "--state-dir", str(state)]
        done = subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-m", *command],
            env=dict(env),
            cwd=REPO,
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=True,
        )
        found[table] = _entries(done.stdout.splitlines())
    return found


def _entries(lines: Iterable[str]) -> dict[int, dict[bytes, bytes]]:
    found: dict[int, dict[bytes, bytes]] = defaultdict(dict)
    for text in lines:
        line = json.loads(text)
        key = line["key"].encode()
        if not key.startswith(b"\0"):
            found[line["partition"]][key] = base64.b64decode(line["raw"])
    return found
