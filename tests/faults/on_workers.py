"""Faults that happen to a worker: its process, its clock, its disk, its files."""

import contextlib
import random
import resource
import shutil
import signal
import time
from pathlib import Path
from typing import Final

import psutil

from tests.faults.town import SESSION_S, Town

STORM: Final = 4
"""How often a member leaves and joins: a rebalance every few seconds."""

POINTS: Final = (
    "claim.after_init=kill@1",
    "claim.before_begin=kill@1",
    "claim.after_end=kill@1",
    "commit.before_begin=kill@20",
    "commit.before_end=kill@20",
    "commit.after_end=kill@20",
    "commit.after_end=drop-reply@every:10",
    "commit.before_end=error@every:10",
    "commit.before_begin=error@every:10",
    "journal.before=kill@10",
    "journal.after=kill@10",
    "store.apply=kill@30",
    "store.applied=kill@30",
    "store.apply=enospc@40",
    "restore.apply=kill@1",
)
"""What a worker may be told to do to itself."""

HEAVY: Final = 60
"""Large requests: more than a worker of this town has in reserve."""

FAILPOINT_S: Final = 12.0
"""Long enough to join, to restore and to come to the point."""

ZOMBIE_S: Final = SESSION_S + 3.0
"""Longer than the group waits for a member."""


def kill(town: Town, target: str, _: random.Random) -> None:
    with town.crew.down(target):
        pass


def terminate(town: Town, target: str, _: random.Random) -> None:
    code = town.crew.end(target)
    assert code == 0, f"SIGTERM ended {target} with {code}"
    town.crew.start(target)


def storm(town: Town, target: str, dice: random.Random) -> None:
    """Let one member leave and join, again and again, as fast as it can start."""
    for _ in range(STORM):
        terminate(town, target, dice)
        town.crew.at(target).ready()


def zombie(town: Town, target: str, _: random.Random) -> None:
    town.crew.at(target).send(signal.SIGSTOP)
    time.sleep(ZOMBIE_S)
    town.crew.at(target).send(signal.SIGCONT)


def zombie_cut(town: Town, target: str, _: random.Random) -> None:
    worker = town.crew.at(target)
    worker.send(signal.SIGSTOP)
    town.wire.cut(target)
    time.sleep(ZOMBIE_S)
    worker.send(signal.SIGCONT)
    time.sleep(1)
    town.wire.mend(target)


def zombie_commit(town: Town, target: str, _: random.Random) -> None:
    """Let a worker fall asleep with all records sent and EndTxn not, and wake up."""
    town.crew.end(target, signal.SIGKILL)
    worker = town.crew.start(target, failpoints="commit.before_end=stop@20")
    asleep = psutil.Process(worker.pid)
    until_s = time.perf_counter() + 2 * FAILPOINT_S
    while time.perf_counter() < until_s and asleep.status() != psutil.STATUS_STOPPED:
        time.sleep(0.1)
    if asleep.status() != psutil.STATUS_STOPPED:
        # It did not come that far. Nobody may stay who falls asleep some time later.
        town.crew.end(target, signal.SIGKILL)
        town.crew.start(target)
        return
    time.sleep(ZOMBIE_S)
    worker.send(signal.SIGCONT)


def pause(town: Town, target: str, dice: random.Random) -> None:
    """Stop a worker for less than its session: nobody else may take over."""
    town.crew.at(target).send(signal.SIGSTOP)
    time.sleep(dice.uniform(0.5, SESSION_S / 2))
    town.crew.at(target).send(signal.SIGCONT)


def wipe(town: Town, target: str, _: random.Random) -> None:
    with town.crew.down(target):
        shutil.rmtree(_state(town, target), ignore_errors=True)


def damage(town: Town, target: str, dice: random.Random) -> None:
    """Flip bytes in some files of a state folder, cut others short."""
    with town.crew.down(target):
        files = sorted(p for p in _state(town, target).rglob("*") if p.is_file())
        for path in dice.sample(files, min(6, len(files))):
            _spoil(path, dice)


def failpoint(town: Town, target: str, dice: random.Random) -> None:
    """Let a worker die, stop for a while or err at a chosen point of its code."""
    point = dice.choice(POINTS)
    town.crew.end(target, signal.SIGKILL)
    worker = town.crew.start(target, failpoints=point)
    until_s = time.perf_counter() + FAILPOINT_S
    while time.perf_counter() < until_s and town.crew.at(target) is worker:
        time.sleep(0.1)
    town.crew.end(target, signal.SIGKILL)
    town.crew.start(target)


def clock_ahead(town: Town, target: str, dice: random.Random) -> None:
    _wrong_clock(town, target, 3_600, dice)


def clock_behind(town: Town, target: str, dice: random.Random) -> None:
    _wrong_clock(town, target, -3_600, dice)


def descriptors(town: Town, target: str, _: random.Random) -> None:
    """Let a worker open no more files for a while, and lose the ones it has."""
    pid = town.crew.at(target).pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (16, before[1]))
    town.wire.reset(target)
    town.lm_wire.reset()
    time.sleep(4)
    if town.crew.at(target).pid == pid:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def memory(town: Town, target: str, _: random.Random) -> None:
    """Give a worker no more memory for a while, and work to do: it may die of it."""
    worker = town.crew.at(target)
    before = resource.prlimit(worker.pid, resource.RLIMIT_AS)
    has = psutil.Process(worker.pid).memory_info().vms
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (has, before[1]))
    town.load.weigh(HEAVY)
    time.sleep(6)
    # It may die in this very moment.
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(worker.pid, resource.RLIMIT_AS, before)


def _state(town: Town, target: str) -> Path:
    return town.lab.folder / f"state-{target}"


def _spoil(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if content and dice.random() < 0.5:
        for _ in range(8):
            content[dice.randrange(len(content))] ^= 0xFF
    else:
        del content[dice.randrange(len(content) + 1) :]
    path.write_bytes(content)


def _wrong_clock(town: Town, target: str, off_s: int, dice: random.Random) -> None:
    town.crew.end(target, signal.SIGKILL)
    town.crew.start(
        target,
        entry=("tests.faults.clock_entry", "worker"),
        test_clock_s=off_s,
        test_clock_back_s=dice.uniform(5, 15),
    )
    time.sleep(10)
