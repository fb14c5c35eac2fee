"""Schemas for a client: the newest of a subject to write with, any by id to read."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

import aiohttp

from agents.failures import NoSchemaError
from agents.record import Record
from agents.registry_client import RegistryClient
from agents.schema_topic import SchemaTopic
from schemas.codec import ParsedSchema, decode, schema_ref
from streams.config import Settings

READ_LIMIT_BYTES: Final = 64 << 20
"""Nothing that a broker gave us is too large to be shown."""


class Registry(Protocol):
    """What a client asks of a schema registry, embedded or external."""

    async def by_id(self, ref: int | str) -> str: ...

    async def newest(self, subject: str) -> tuple[int, str] | None: ...


class Schemas:
    """The schemas that this client has met. Mutable: it asks for each of them once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[int | str, ParsedSchema] = {}

    async def newest(self, topic: str) -> ParsedSchema:
        """Return the schema to write records of *topic* with.

        Raises:
            NoSchemaError: nobody registered one yet.
            RegistryError: the registry did not answer, or refused.
        """
        subject = f"{topic}-value"
        found = await self._registry.newest(subject)
        if found is None:
            raise NoSchemaError(subject)
        number, text = found
        return ParsedSchema.of(text, subject=subject, ref=number)

    async def value_of(self, record: Record) -> dict[str, Any]:
        """Return the value of *record*, read with the schema that it names.

        Raises:
            SchemaError: it names none that is known, or is something else.
        """
        ref, start = schema_ref(record.value, record.headers)
        if ref not in self._known:
            text = await self._registry.by_id(ref)
            number = ref if isinstance(ref, int) else None
            self._known[ref] = ParsedSchema.of(text, ref=number)
        return decode(
            record.value or b"",
            start=start,
            schema=self._known[ref],
            limit_bytes=READ_LIMIT_BYTES,
        )


@contextlib.asynccontextmanager
async def schemas_of(settings: Settings) -> AsyncIterator[Schemas]:
    """Connect to the registry that *settings* name, for the length of a block.

    Raises:
        KafkaError: the embedded registry's topic cannot be read.
    """
    if settings.registry_url:
        async with aiohttp.ClientSession() as session:
            yield Schemas(RegistryClient(session, settings.registry_url))
        return
    topic = SchemaTopic(settings.bootstrap, settings.prefix)
    try:
        await topic.start()
        yield Schemas(topic.registry())
    finally:
        await topic.stop()
