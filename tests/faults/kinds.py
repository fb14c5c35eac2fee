"""Every fault there is, by name."""

import random
from collections.abc import Callable, Mapping
from typing import Final

from tests.faults import on_broker, on_group, on_lm, on_wires, on_workers
from tests.faults.town import Town

Fault = Callable[[Town, str, random.Random], None]
"""Do it to a worker, and return once it is undone. All else is up to the dice."""

FAULTS: Final[Mapping[str, Fault]] = {
    "kill": on_workers.kill,
    "terminate": on_workers.terminate,
    "storm": on_workers.storm,
    "zombie": on_workers.zombie,
    "zombie-cut": on_workers.zombie_cut,
    "zombie-commit": on_workers.zombie_commit,
    "pause": on_workers.pause,
    "wipe": on_workers.wipe,
    "damage": on_workers.damage,
    "failpoint": on_workers.failpoint,
    "clock-ahead": on_workers.clock_ahead,
    "clock-behind": on_workers.clock_behind,
    "descriptors": on_workers.descriptors,
    "memory": on_workers.memory,
    "cut": on_wires.cut,
    "stall": on_wires.stall,
    "delay": on_wires.delay,
    "reset": on_wires.reset,
    "commit-lost": on_wires.commit_lost,
    "commit-held": on_wires.commit_held,
    "lm-reset": on_lm.reset,
    "lm-away": on_lm.away,
    "lm-stall": on_lm.stall,
    "lm-garbage": on_lm.garbage,
    "lm-busy": on_lm.busy,
    "lm-hang": on_lm.hang,
    "lm-slow": on_lm.slow,
    "broker-stop": on_broker.stop,
    "broker-kill": on_broker.kill,
    "broker-away": on_broker.away,
    "refused": on_broker.refused,
    "burst": on_broker.burst,
    "many-sessions": on_broker.many_sessions,
    "offsets-lost": on_group.offsets_lost,
    "set-rolled": on_group.set_rolled,
    "static-roll": on_group.static_roll,
    "leave": on_group.leave,
}

OF_ALL: Final = frozenset({"offsets-lost", "set-rolled", "static-roll"})
"""Faults that end every worker: where one is spared, there are none of these."""

FROM_THE_BEGINNING: Final = frozenset({"kill", "terminate", "wipe", "damage"})
"""Faults from whose first moment on somebody else may take over."""
