"""Faults that happen to the group: its offsets, its members, what it runs."""

import asyncio
import random
import signal
from typing import Final

from agents.exit_codes import ExitCode
from agents.group import leave as tell_to_leave
from tests.faults.pipelines import with_extra
from tests.faults.town import SESSION_S, Town
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS

STATIC_S: Final = 60
"""Session timeout of static members: a restart is over long before."""

EMPTY_WITHIN_S: Final = 5.0 * SESSION_S
SHARED_WITHIN_S: Final = 90.0


def offsets_lost(town: Town, _: str, dice: random.Random) -> None:
    """Let the group's committed offsets expire, while nobody is in it."""
    with town.crew.unsupervised():
        _end_all(town, dice.choice((signal.SIGTERM, signal.SIGKILL)))
        _until_empty(town)
        # What expires in the end is the group, with all that it committed.
        admin = town.lab.new_admin()
        [deleted] = admin.delete_consumer_groups([town.lab.settings.group]).values()
        deleted.result(20)
        for name in town.crew.places:
            town.crew.start(name)


def set_rolled(town: Town, _target: str, _: random.Random) -> None:
    """Add a pipeline worker by worker, then remove it from all at once.

    Who has another set than those at work is refused. So a roll ends when the last of
    the old workers is gone: until then nobody of the new ones holds anything.
    """
    first, *others = town.crew.places
    with town.crew.unsupervised():
        for name in others:
            town.crew.end(name)
            newcomer = town.crew.start(name, pipelines_dir=with_extra(town.lab))
            assert newcomer.wait(within_s=SHARED_WITHIN_S) == ExitCode.USAGE
            assert "roll all workers at once" in newcomer.last_words()
        town.crew.end(first)
        for name in town.crew.places:
            town.crew.start(name, pipelines_dir=with_extra(town.lab))
        _until_shared(town)
        assert len(town.crew.running()) == len(town.crew.places), "one was refused"
        _end_all(town)
        for name in town.crew.places:
            town.crew.start(name)


def static_roll(town: Town, _target: str, _: random.Random) -> None:
    """Restart static members one after the other: no partition moves."""
    _end_all(town)
    for name in town.crew.places:
        _start_static(town, name)
    _until_shared(town)
    for name in town.crew.places:
        before = _assigned(town, but=name)
        town.crew.end(name)
        _start_static(town, name)
        _until_shared(town)
        assert _assigned(town, but=name) == before, f"others saw {name} restart"
    for name in town.crew.places:
        with town.crew.down(name, signal.SIGTERM):
            _leave(town, name)


def leave(town: Town, target: str, _: random.Random) -> None:
    """Scale a static member down: others have its partitions at once."""
    town.crew.end(target)
    _start_static(town, target)
    _until_shared(town)
    with town.crew.down(target, signal.SIGTERM):
        _leave(town, target)
        if town.crew.running():
            _until_shared(town, within_s=STATIC_S / 2)


def _end_all(town: Town, how: signal.Signals = signal.SIGTERM) -> None:
    for name in town.crew.places:
        town.crew.end(name, how)


def _until_empty(town: Town) -> None:
    eventually(
        lambda: town.lab.members() == 0, within_s=EMPTY_WITHIN_S, what="an empty group"
    )


def _until_shared(town: Town, within_s: float = SHARED_WITHIN_S) -> None:
    """Wait until each partition has an owner, and nobody who works has none."""
    eventually(
        lambda: _all_owned(town), within_s=within_s, what="an owner for each partition"
    )


def _all_owned(town: Town) -> bool:
    live = [w.metric("penstock_tasks_live") for w in town.crew.running().values()]
    return sum(live) == PARTITIONS and all(live)


def _assigned(town: Town, *, but: str) -> dict[str, int]:
    """Return how often each worker was given partitions."""
    return {
        name: len(worker.events("tasks.assigned"))
        for name, worker in town.crew.running().items()
        if name != but
    }


def _start_static(town: Town, name: str) -> None:
    town.crew.start(name, instance=name, session_timeout_s=STATIC_S)


def _leave(town: Town, name: str) -> None:
    settings = town.lab.settings
    asyncio.run(tell_to_leave(settings.bootstrap, settings.group, name))
