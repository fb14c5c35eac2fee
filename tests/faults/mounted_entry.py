"""`penstock worker` that sees the mounts of process PENSTOCK_TEST_MOUNTS_OF.

A tmpfs that is mounted in a user namespace needs no root, and nobody else sees it. It
stays as long as the process that made it, whatever becomes of workers.
"""

import os
import sys
from typing import Final

MOUNTED: Final = ("tests.faults.mounted_entry", "worker")
"""What to start in place of ``agents worker``."""

if __name__ == "__main__":
    env = dict(os.environ)  # noqa: TID251 - a process of the tests
    enter = ["nsenter", "--user", "--mount", "--preserve-credentials"]
    enter += ["--target", env.pop("PENSTOCK_TEST_MOUNTS_OF")]
    command = [*enter, sys.executable, "-m", "agents", *sys.argv[1:]]
    os.execvpe(command[0], command, env)  # noqa: S606 - no shell is wanted
