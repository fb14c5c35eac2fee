"""`penstock` with planted bugs: ``python -m tests.faults.worker_entry worker``.

``PENSTOCK_TEST_BUG`` names them, with a comma between. No product code reads it.
"""

import os
from typing import Final

from agents.__main__ import main
from tests.faults.planted import PLANTED

BUG: Final = "PENSTOCK_TEST_BUG"

BUGGY: Final = ("tests.faults.worker_entry", "worker")
"""What to start in place of ``agents worker``."""

if __name__ == "__main__":
    for bug in os.environ[BUG].split(","):  # noqa: TID251 - a process of the tests
        PLANTED[bug].plant()
    main()
