"""`penstock worker` with a wall clock that is wrong: PENSTOCK_TEST_CLOCK_S seconds off.

With PENSTOCK_TEST_CLOCK_BACK_S it is right again after so many seconds: it jumps.
"""

import os
import sys
import time

from agents.__main__ import main
from streams.clock import SystemClock


def shift(env: "os._Environ[str]") -> None:
    """Set the wall clock of this process wrong."""
    off_ms = round(float(env.pop("PENSTOCK_TEST_CLOCK_S", "0")) * 1_000)
    until_s = float(env.pop("PENSTOCK_TEST_CLOCK_BACK_S", "inf"))
    begin_s = time.perf_counter()
    right = SystemClock.now_ms

    def wrong(clock: SystemClock) -> int:
        late = time.perf_counter() - begin_s > until_s
        return right(clock) + (0 if late else off_ms)

    SystemClock.now_ms = wrong  # type: ignore[method-assign] - that is the fault


if __name__ == "__main__":
    shift(os.environ)  # noqa: TID251 - a process of its own
    sys.exit(main())
