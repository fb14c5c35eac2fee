"""A disk that is really full: the worker ends with one line, and goes on with space."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest

from agents.exit_codes import ExitCode
from tests.faults.mounted_entry import MOUNTED
from tests.faults.small_disk import NoMountsError, SmallDisk
from tests.integration.lab import Ask, Lab
from tests.integration.processes import WorkerProcess
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered

DISK_MIB = 32
ANSWER = 20_000
"""Characters: a session remembers three of them."""


@dataclass(frozen=True)
class Tmpfs:
    """A disk that fills up."""

    lab: Lab
    disk: SmallDisk

    def start(self) -> WorkerProcess:
        return self.lab.worker(
            entry=MOUNTED,
            instance="one",
            state_dir=self.disk.folder,
            test_mounts_of=self.disk.holder.pid,
        )

    def start_full(self) -> WorkerProcess:
        return self.start()

    def fill(self) -> None:
        self.disk.fill()

    def free(self) -> None:
        self.disk.free()


@dataclass(frozen=True)
class Failpoint:
    """A worker that is told that its disk is full, where nobody may mount one."""

    lab: Lab

    def start(self) -> WorkerProcess:
        return self.lab.worker(instance="one", failpoints="store.apply=enospc@20")

    def start_full(self) -> WorkerProcess:
        return self.lab.worker(instance="one", failpoints="restore.apply=enospc@1")

    def fill(self) -> None:
        """It is full after some writes."""

    def free(self) -> None:
        """It is, without failpoints."""


@contextmanager
def disk_of(lab: Lab) -> Iterator[Tmpfs | Failpoint]:
    try:
        disk = SmallDisk.mounted(lab.folder / "disk", size_mib=DISK_MIB)
    except NoMountsError:
        yield Failpoint(lab)
        return
    with closing(disk):
        yield Tmpfs(lab, disk)


def says_why(worker: WorkerProcess) -> None:
    """Check how *worker* ended: one line, with the cure."""
    assert worker.wait(within_s=60) == ExitCode.FAILED
    lines = worker.log.read_text().splitlines()
    said = [line for line in lines if not line.startswith("{")]
    assert said[-1] == worker.last_words()
    assert "No space left on device" in said[-1]
    assert said[-1].endswith("free disk space, then start again")


def asks_of(begin: int, count: int) -> list[Ask]:
    return [
        Ask(
            request_id=f"r{i}",
            session_id=f"s{i % 16}",
            inputs={"ticket": f"size={ANSWER}"},
        )
        for i in range(begin, begin + count)
    ]


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_full_disk_ends_the_worker_and_costs_nothing_once_there_is_space(
    new_lab, figures
):
    lab = new_lab({"echo": ECHO})
    with disk_of(lab) as disk:
        figures(disk=type(disk).__name__)
        results = lab.tail(lab.topic("echo", "results"))
        worker = disk.start().ready()
        asks = asks_of(0, 40)
        lab.send("echo", asks)
        disk.fill()
        more = asks_of(40, 200)
        lab.send("echo", more)
        asks += more
        says_why(worker)
        says_why(disk.start_full())
        disk.free()
        last = (disk.start() if isinstance(disk, Tmpfs) else lab.worker()).ready()
        answered(results, len(asks), within_s=60)
        assert last.terminate() == ExitCode.DONE
        Verdict.of(lab, "echo").check(asks)
