"""The schemas topic: where the embedded registry keeps what it knows.

One partition, compacted, read whole at start and again when somebody asks for an id
that is new. Publishing is idempotent and waits for the broker.
"""

import asyncio
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from agents.closing import stop_consumer
from agents.restore import private_consumer
from schemas.embedded import EmbeddedRegistry
from schemas.errors import RegistryUnavailableError, SchemaError
from schemas.registry import Subjects

log = structlog.get_logger(__name__)

REQUEST_TIMEOUT_S: Final = 10.0


class SchemaTopic:
    """Reads and writes ``<prefix>.schemas``; one per process."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self._tp = TopicPartition(f"{prefix}.schemas", 0)
        self._subjects = Subjects()
        self._consumer: Any = None
        self._lock = asyncio.Lock()

    def registry(self) -> EmbeddedRegistry:
        """Return the registry that lives on this topic."""
        return EmbeddedRegistry(
            subjects=self._subjects, publish=self._publish, refresh=self._refresh
        )

    async def start(self) -> None:
        """Connect, and read the topic to its end.

        Raises:
            KafkaError: the broker cannot be reached.
        """
        self._consumer = private_consumer(self._bootstrap)
        await self._consumer.start()
        self._consumer.assign([self._tp])
        await self._consumer.seek_to_beginning(self._tp)
        await self._refresh()

    async def stop(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def _refresh(self) -> None:
        async with self._lock:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    await self._read_to_end()
            except (KafkaError, TimeoutError) as error:
                raise RegistryUnavailableError(self._tp.topic, repr(error)) from error

    async def _read_to_end(self) -> None:
        end = (await self._consumer.end_offsets([self._tp]))[self._tp]
        while await self._consumer.position(self._tp) < end:
            fetched = await self._consumer.getmany(self._tp, timeout_ms=200)
            for record in fetched.get(self._tp, ()):
                self._apply(record)

    def _apply(self, record: Any) -> None:
        if record.key is None:
            return
        try:
            self._subjects.apply(record.key, record.value)
        except SchemaError as error:
            # Somebody else's record on our topic: no reason to stop a worker.
            log.warning(
                "registry.foreign_record", offset=record.offset, error=str(error)
            )

    async def _publish(self, key: bytes, value: bytes) -> None:
        # A producer for one record: registrations are rare, idle connections cost.
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, enable_idempotence=True
        )
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await producer.start()
                await producer.send_and_wait(
                    self._tp.topic, value, key=key, partition=self._tp.partition
                )
        except (KafkaError, TimeoutError) as error:
            raise RegistryUnavailableError(self._tp.topic, repr(error)) from error
        finally:
            await producer.stop()
