"""The census: what a worker keeps running is counted, whoever made it."""

import asyncio
import contextlib
import threading

from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.producer.sender import Sender

from agents.census import CLIENT, CONSUMER, PRODUCER, census


class AIOKafka:
    """Tasks with the names that aiokafka's have."""

    async def _wait(self):
        await asyncio.Event().wait()

    def task(self, name: str) -> "asyncio.Task[None]":
        waiting = self._wait()
        waiting.__qualname__ = name
        return asyncio.create_task(waiting)


def test_the_names_are_those_of_the_pinned_aiokafka():
    for kind, name in (
        (AIOKafkaClient, CLIENT),
        (Sender, PRODUCER),
        (Fetcher, CONSUMER),
    ):
        routine = getattr(kind, name.split(".")[1])
        assert routine.__qualname__ == name


async def test_clients_are_counted_by_what_they_serve_until_they_are_closed():
    fake, loop = AIOKafka(), asyncio.get_running_loop()
    before = census([loop])
    names = (CLIENT, PRODUCER, CLIENT, CONSUMER, CLIENT, "anything")
    tasks = [fake.task(name) for name in names]
    found = census([loop])
    assert found.tasks == before.tasks + len(tasks)
    assert (found.producers, found.consumers, found.others) == (1, 1, 1)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    assert census([loop]) == before


def test_a_loop_in_another_thread_counts_as_well():
    loop, begun = asyncio.new_event_loop(), threading.Event()

    async def live() -> None:
        stop = AIOKafka().task(CLIENT)
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await stop

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()
    assert begun.wait(10)
    assert census([loop]).others == 1
    for task in asyncio.all_tasks(loop):
        loop.call_soon_threadsafe(task.cancel)
    thread.join(10)
    loop.close()
