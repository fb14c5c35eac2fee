"""Who comes and who goes: static members restart unnoticed, a storm repeats no call.

What the group went through is read from its own topic, by Kafka's layout of it.
"""

import signal
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from agents.__main__ import run
from agents.exit_codes import ExitCode
from agents.routing import home_partition
from tests.faults.late_entry import LATE, LOADED
from tests.integration.asking import SESSIONS, Asking, asking
from tests.integration.conftest import labs
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS
from tests.integration.processes import WorkerProcess
from tests.integration.reading import Tail

SESSION_S = 60
"""Longer than a start takes, on a busy machine too."""
GROUP_PARTITIONS = 8
GROUP_RECORD = 2
"""The version of a key of ``__consumer_offsets`` that is about a group."""

EVERY_S = 2.0
GUESTS = 30
"""Each comes and goes: a change every two seconds for two minutes."""
AT_ONCE = 2
"""Guests at work, or about to: one takes a while to join."""


@dataclass
class Group:
    """What `__consumer_offsets` says of one consumer group."""

    name: str
    tail: Tail
    generation: int = 0
    _read: int = field(default=0)

    def now(self) -> int:
        """Return the generation; a rebalance is the next one."""
        seen = self.tail.all()
        for record in seen[self._read :]:
            if record.key == self._key() and record.value:
                self.generation = _generation(record.value)
        self._read = len(seen)
        return self.generation

    def _key(self) -> bytes:
        name = self.name.encode()
        return struct.pack(">hh", GROUP_RECORD, len(name)) + name


def _generation(value: bytes) -> int:
    # Version, the protocol type with its length, generation.
    _version, length = struct.unpack_from(">hh", value)
    return struct.unpack_from(">i", value, 4 + max(length, 0))[0]


@dataclass
class Two:
    """Two static members, under load."""

    case: Asking
    group: Group
    workers: dict[str, WorkerProcess]

    def start(self, name: str, **settings: object) -> WorkerProcess:
        self.workers[name] = self.case.lab.worker(name, instance=name, **settings)
        return self.workers[name]

    def tasks(self, name: str) -> float:
        return self.workers[name].metric("penstock_tasks_live")

    def share(self) -> None:
        """Wait until both work, and no partition is without an owner."""
        eventually(
            lambda: all(self.tasks(n) == PARTITIONS / 2 for n in self.workers),
            within_s=40,
            what="both have their half",
        )


@pytest.fixture(scope="module")
def two(bootstrap, tmp_path_factory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("members")
    with (
        labs(bootstrap, folder) as new,
        asking(new, folder, session_timeout_s=SESSION_S) as case,
    ):
        offsets = Tail(bootstrap, "__consumer_offsets", GROUP_PARTITIONS)
        both = Two(case, Group(case.lab.settings.group, offsets), {})
        for name in ("a-0", "a-1"):
            both.start(name)
        for worker in list(both.workers.values()):
            worker.ready()
        both.share()
        yield both
        offsets.close()


@pytest.mark.long
@pytest.mark.timeout(150)
def test_a_rolling_restart_of_static_members_is_no_rebalance(two, figures):
    before = two.group.now()
    assigned = {n: len(w.events("tasks.assigned")) for n, w in two.workers.items()}
    for name, other in (("a-0", "a-1"), ("a-1", "a-0")):
        two.case.load(60)
        assert two.workers[name].terminate() == ExitCode.DONE
        two.case.load(20)
        two.start(name).ready()
        others = len(two.workers[other].events("tasks.assigned"))
        assert others == assigned[other], f"{other} was rebalanced"
        assigned[name] = len(two.workers[name].events("tasks.assigned"))
    two.case.answers()
    two.case.check()
    two.share()
    figures(generation=before, repeated=two.case.lm.repeated())
    assert two.group.now() == before > 0
    assert two.case.lm.repeated() == {}


@pytest.mark.long
@pytest.mark.timeout(120)
def test_two_workers_with_one_instance_id_the_older_ends_with_one_line(two):
    two.share()
    older = two.workers["a-1"]
    two.case.load(40)
    newer = two.case.lab.worker("a-1-again", instance="a-1")
    assert older.wait(within_s=40) == ExitCode.FAILED
    assert "PENSTOCK_INSTANCE" in older.last_words()
    assert "a-1" in older.last_words()
    two.workers["a-1"] = newer.ready()
    two.share()
    two.case.answers()
    two.case.check()
    assert newer.exit_code is None


@pytest.mark.long
@pytest.mark.timeout(120)
def test_partitions_of_a_member_that_was_told_to_leave_move_at_once(
    two, capsys, figures
):
    two.share()
    gone = two.workers.pop("a-1")
    assert gone.terminate() == ExitCode.DONE
    two.case.load(60)
    begin_s = time.perf_counter()
    settings = two.case.lab.settings.masked().items()
    env = {f"PENSTOCK_{name.upper()}": str(value) for name, value in settings}
    assert run(["worker", "leave", "a-1"], env) == ExitCode.DONE
    capsys.readouterr()
    eventually(
        lambda: two.tasks("a-0") == PARTITIONS,
        within_s=SESSION_S / 2,
        what="everything on the one that stays",
    )
    figures(moved_s=round(time.perf_counter() - begin_s, 1))
    two.case.answers()
    two.case.check()
    assert two.case.lab.members() == 1


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_storm_of_members_repeats_no_call_on_partitions_that_stay(
    new_lab, tmp_path, figures
):
    with (
        asking(new_lab, tmp_path, session_timeout_s=10) as case,
        Tail(case.lab.bootstrap, "__consumer_offsets", GROUP_PARTITIONS) as offsets,
    ):
        group = Group(case.lab.settings.group, offsets)
        keeper = case.lab.worker("keeper").ready()
        before = group.now()
        guests = [case.lab.worker(f"guest{n}", LATE) for n in range(GUESTS)]
        eventually(
            lambda: all(guest.events(LOADED) for guest in guests),
            within_s=180,
            what="guests that wait",
        )
        storm(case, guests)
        case.answers()
        case.check()
        # The keeper had everything at first: what anybody got anew later has moved.
        later = keeper.events("tasks.assigned")[1:]
        later += [event for guest in guests for event in guest.events("tasks.assigned")]
        moved = {partition for event in later for partition in event["fresh"]}
        repeated = case.lm.repeated()
        figures(
            rebalances=group.now() - before,
            requests=len(case.asks),
            stayed=sorted(set(range(PARTITIONS)) - moved),
            repeated=len(repeated),
        )
        assert group.now() - before >= GUESTS
        assert len(moved) < PARTITIONS, "everything moved: nothing was shown"
        for call in repeated:
            session = f"s{int(call.split('/')[0][1:]) % SESSIONS}"
            assert home_partition(session, PARTITIONS) in moved, call


def storm(case: Asking, guests: list[WorkerProcess]) -> None:
    """Let a guest join or leave every two seconds, in turn, under load."""
    begin_s = time.perf_counter()
    for change in range(2 * GUESTS):
        case.load(12)
        number = change // 2
        if change % 2 == 0:
            guests[number].send(signal.SIGUSR1)
        elif number >= AT_ONCE:
            guests[number - AT_ONCE].send(signal.SIGTERM)
        time.sleep(max(0, begin_s + (change + 1) * EVERY_S - time.perf_counter()))
    for guest in guests[-AT_ONCE:]:
        guest.send(signal.SIGTERM)
    # Who is told before it listens ends by the signal itself.
    codes = {guest.wait(40) for guest in guests}
    assert codes <= {ExitCode.DONE, -signal.SIGTERM}
