"""A client of Kafka that is stopped ends, whatever it waits for, and so do we."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from agents import closing
from agents.closing import started, stop_consumer
from agents.transactions import Transactor


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(closing, "STOP_S", 0.01)


async def send(answer: "asyncio.Future[None]") -> None:
    """Behave as aiokafka's sender: once cancelled, it waits for what it has sent."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await answer


@dataclass
class Sender:
    sender_task: "asyncio.Task[None]"


class Client:
    closed = False

    async def close(self) -> None:
        self.closed = True


class Producer:
    """One whose own stop does not end."""

    def __init__(self) -> None:
        self.answer = asyncio.get_running_loop().create_future()
        self._sender = Sender(asyncio.create_task(send(self.answer)))
        self.client = Client()

    async def stop(self) -> None:
        await asyncio.Event().wait()


class Consumer:
    """One that waits after a failure: it cancels that wait, and awaits it."""

    def __init__(self) -> None:
        self._client = Client()
        self.waits = asyncio.create_task(asyncio.Event().wait())

    async def start(self) -> None:
        await asyncio.sleep(0)

    async def stop(self) -> None:
        self.waits.cancel()
        await self.waits


class DeafConsumer(Consumer):
    """One that takes a cancellation of its stop for its own."""

    async def stop(self) -> None:
        while not self._client.closed:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.001)


async def test_a_sender_that_waits_for_an_answer_ends_with_its_client():
    transactor = Transactor(
        "", "id", group="g", commit_timeout_s=1, transaction_timeout_s=2
    )
    producer = transactor._producer = Producer()  # noqa: SLF001 - as renew() leaves it
    sender = producer._sender.sender_task  # noqa: SLF001
    await asyncio.sleep(0)
    await transactor.close()
    await asyncio.wait({sender}, timeout=5)
    assert producer.client.closed
    assert sender.cancelled()


async def test_a_cancellation_within_a_consumer_is_not_ours():
    consumer = Consumer()
    async with started(consumer):
        pass
    assert consumer._client.closed  # noqa: SLF001


async def test_a_consumer_that_does_not_stop_is_left_behind():
    consumer = DeafConsumer()
    await stop_consumer(consumer)
    assert consumer._client.closed  # noqa: SLF001


async def test_a_stop_goes_on_although_nobody_waits_for_it_any_more():
    consumer = DeafConsumer()
    stopping = asyncio.create_task(stop_consumer(consumer))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert not consumer._client.closed  # noqa: SLF001
    await asyncio.wait(set(closing._stops), timeout=5)  # noqa: SLF001
    assert consumer._client.closed  # noqa: SLF001
