"""Opening tasks: to the end, or nothing stays behind."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError

from agents.lease import Lease
from agents.restore import NotWantedError, Restored, Shelf
from agents.tasks import Tasks
from streams.clock import ManualClock
from streams.config import Settings
from tests.agents.test_edge_fakes import Watching


@dataclass
class Producer:
    """A transactor whose renewal fails at once, or succeeds a little later."""

    fails: bool
    is_open: bool = False
    renewed: asyncio.Event = field(default_factory=asyncio.Event)

    async def renew(self) -> None:
        if self.fails:
            raise KafkaError
        for _ in range(5):
            await asyncio.sleep(0)
        self.is_open = True
        self.renewed.set()

    async def close(self) -> None:
        self.is_open = False


@dataclass
class Asking:
    """A restorer that asks whether it is wanted, as often as it is let."""

    asked: list[bool] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    async def restore(self, _: object, wanted: Callable[[], bool]) -> Restored:
        self.asked.append(wanted())
        self.meanwhile()
        self.asked.append(wanted())
        raise NotWantedError


def tasks_in(
    folder: Path,
    new: Callable[[int], object],
    *,
    restorer: object = None,
    ours: Callable[[int], bool] = lambda _: True,
) -> Tasks:
    clock = ManualClock()
    return Tasks(
        Settings(app="test", pipelines_dir=folder),
        bootstrap="127.0.0.1:1",
        shape="shape",
        topics=[],
        shelf=Shelf(folder=folder, openers={}),
        restorer=restorer,
        new_transactor=new,
        clock=clock,
        lease=Lease(clock, 6),
        watcher=Watching(),
        still_assigned=ours,
        rejoin=lambda: None,
        on_fatal=lambda _: None,
    )


async def test_a_producer_that_is_ready_after_its_neighbour_failed_is_closed(tmp_path):
    made: list[Producer] = []
    tries = iter([True, False])

    def new(partition: int) -> Producer:
        made.append(Producer(fails=partition == 0))
        return made[-1]

    tasks = tasks_in(tmp_path, new)
    await tasks.assign({0, 1}, lambda: next(tries))
    assert [producer.fails for producer in made] == [True, False]
    await made[1].renewed.wait()
    assert not made[1].is_open, "and nobody would ever have closed it"


@pytest.mark.parametrize("ours", [{0, 1}, {0}])
async def test_a_restore_goes_on_while_all_of_it_stays_ours(tmp_path, ours):
    still = {0, 1}
    current = [True, False]
    restorer = Asking(meanwhile=lambda: still.intersection_update(ours))
    tasks = tasks_in(
        tmp_path,
        lambda _: Producer(fails=False),
        restorer=restorer,
        ours=still.__contains__,
    )
    await tasks.assign({0, 1}, lambda: current.pop(0))
    assert restorer.asked == [True, ours == {0, 1}]


async def test_a_worker_that_stops_restores_no_longer(tmp_path):
    current = [True, False]
    restorer = Asking()
    tasks = tasks_in(tmp_path, lambda _: Producer(fails=False), restorer=restorer)

    def stop() -> None:
        tasks.draining = True

    restorer.meanwhile = stop
    await tasks.assign({0}, lambda: current.pop(0))
    assert restorer.asked == [True, False]
