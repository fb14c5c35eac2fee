"""The demo's conversation: sends the tickets, shows the results, counts both."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from aiokafka import TopicPartition

from agents.client.pipeline_topics import PipelineTopics, find_topics
from agents.client.reader import Reader, reading
from agents.client.schemas_by_id import Schemas, schemas_of
from agents.client.sender import sending
from agents.demo.stage import PIPELINE, DemoStage
from agents.demo.tally import Tally
from agents.demo.tickets import Ticket
from agents.demo.worker_process import WorkerProcess
from agents.failures import NoSchemaError
from schemas.codec import ParsedSchema
from schemas.envelopes import result_of
from schemas.records import Result
from streams.clock import Clock

ANSWERED_WITHIN_S: Final = 60.0
"""For all tickets together; two seconds are usual."""
QUIET_S: Final = 1.0
"""How long nothing more may come before the count is final. A worker commits every
few tens of milliseconds, so a duplicate would be here by then."""
LOOK_EVERY_S: Final = 0.1
REPLY_CHARS: Final = 60

Say = Callable[[str], None]


class Conversation:
    """One demo's requests and results, from the first schema to the last count."""

    def __init__(
        self, stage: DemoStage, worker: WorkerProcess, clock: Clock, say: Say
    ) -> None:
        self._stage = stage
        self._worker = worker
        self._clock = clock
        self._say = say
        self._tally = Tally()

    async def hold(self, tickets: Sequence[Ticket]) -> Tally:
        """Send *tickets*, and return what came of them once nothing more comes.

        Raises:
            DemoWorkerError: the worker ended before.
        """
        settings = self._stage.settings
        topics = await find_topics(settings, PIPELINE)
        async with schemas_of(settings) as schemas:
            schema = await self._registered(schemas, topics.names.requests)
            self._say("worker  started, its schemas are registered")
            async with reading(
                settings.bootstrap, _partitions(topics), "earliest"
            ) as reader:
                await self._send(tickets, topics, schema)
                await self._collect(reader, schemas, topics.names.results)
        return self._tally

    async def _registered(self, schemas: Schemas, topic: str) -> ParsedSchema:
        """Return the schema of requests, once the worker has registered it."""
        while True:
            self._worker.check()
            try:
                return await schemas.newest(topic)
            except NoSchemaError:
                await self._clock.sleep(LOOK_EVERY_S)

    async def _send(
        self, tickets: Sequence[Ticket], topics: PipelineTopics, schema: ParsedSchema
    ) -> None:
        requests = [ticket.request(PIPELINE) for ticket in tickets]
        async with sending(self._stage.settings.bootstrap, topics, schema) as sender:
            await asyncio.gather(*[await sender.send(each) for each in requests])
        self._tally.sent.update(request.request_id for request in requests)
        sessions = len({ticket.session for ticket in tickets})
        self._say(f"sent    {len(requests)} tickets of {sessions} customers\n")

    async def _collect(self, reader: Reader, schemas: Schemas, results: str) -> None:
        """Take what comes, until all is there and then nothing for a while."""
        last_s = began_s = self._clock.monotonic_s()
        while self._clock.monotonic_s() - began_s < ANSWERED_WITHIN_S:
            self._worker.check()
            for record in await reader.poll(round(LOOK_EVERY_S * 1_000)):
                last_s = self._clock.monotonic_s()
                if record.topic == results:
                    self._take(result_of(await schemas.value_of(record)))
                else:
                    self._tally.dead_letters += 1
            quiet_s = self._clock.monotonic_s() - last_s
            if not self._tally.missing and quiet_s > QUIET_S:
                return

    def _take(self, result: Result) -> None:
        self._tally.take(result)
        self._say(line_of(result))


def line_of(result: Result) -> str:
    """Return *result* in one readable line."""
    at = f"{result.session_id} {result.turn}"
    if result.outputs is None:
        code = result.error.code if result.error else "no error"
        return f"{at:<24}{result.status:<9}{code}"
    reply = " ".join(result.outputs["reply"].split())
    if len(reply) > REPLY_CHARS:
        reply = reply[: REPLY_CHARS - 1].rstrip() + "…"
    return f"{at:<24}{result.outputs['category']:<9}{reply}"


def _partitions(topics: PipelineTopics) -> list[TopicPartition]:
    return [
        TopicPartition(name, partition)
        for name in (topics.names.results, topics.names.dlq)
        for partition in range(topics.partitions)
    ]
