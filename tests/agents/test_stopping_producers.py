"""A producer that is thrown away ends, although nobody answers what it has sent."""

import asyncio
from dataclasses import dataclass

from agents import transactions
from agents.transactions import Transactor


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


async def test_a_sender_that_waits_for_an_answer_ends_with_its_client(monkeypatch):
    monkeypatch.setattr(transactions, "STOP_S", 0.01)
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
