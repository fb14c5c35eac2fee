"""Opening tasks: where one of them fails, nothing of the others stays behind."""

import asyncio
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from agents.lease import Lease
from agents.restore import Shelf
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


async def test_a_producer_that_is_ready_after_its_neighbour_failed_is_closed(tmp_path):
    made: list[Producer] = []
    tries = iter([True, False])
    clock = ManualClock()

    def new(partition: int) -> Producer:
        made.append(Producer(fails=partition == 0))
        return made[-1]

    tasks = Tasks(
        Settings(app="test", pipelines_dir=tmp_path),
        bootstrap="",
        shape="shape",
        topics=[],
        shelf=Shelf(folder=tmp_path, openers={}),
        restorer=None,
        new_transactor=new,
        clock=clock,
        lease=Lease(clock, 6),
        watcher=Watching(),
        still_assigned=lambda _: True,
        rejoin=lambda: None,
        on_fatal=lambda _: None,
    )
    await tasks.assign({0, 1}, lambda: next(tries))
    assert [producer.fails for producer in made] == [True, False]
    await made[1].renewed.wait()
    assert not made[1].is_open, "and nobody would ever have closed it"
