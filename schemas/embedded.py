"""The embedded registry: subjects in memory, records on a topic, no server."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from schemas.errors import UnknownSchemaError
from schemas.identity import AvroSchema
from schemas.registry import Registration, Subjects

Publish = Callable[[bytes, bytes], Awaitable[None]]
"""Write key and value to the schemas topic; return once they are durable.

Raises ``RegistryUnavailableError`` where that fails.
"""

Refresh = Callable[[], Awaitable[None]]
"""Apply the schemas topic up to its present end.

Raises ``RegistryUnavailableError`` where that fails.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedRegistry:
    """A ``SchemaSource`` over the schemas topic. One per process."""

    subjects: Subjects
    publish: Publish
    refresh: Refresh
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def by_id(self, ref: int | str) -> str:
        """Return the schema under an id or a GUID, from the topic if need be.

        Raises:
            UnknownSchemaError: it is not on the topic either.
            RegistryUnavailableError: the topic cannot be read.
        """
        try:
            return self.subjects.by_id(ref)
        except UnknownSchemaError:
            await self.refresh()
            return self.subjects.by_id(ref)

    async def newest(self, subject: str) -> tuple[int, str] | None:
        """Return id and text of what *subject* holds last; None if it is unknown.

        Raises:
            RegistryUnavailableError: the topic cannot be read.
        """
        await self.refresh()
        held = self.subjects.versions(subject)
        return (held[-1].id, held[-1].text) if held else None

    async def register(self, subject: str, schema: AvroSchema) -> int:
        """Register *schema* and return its id; see ``SchemaSource``."""
        return (await self.registration(subject, schema)).id

    async def registration(self, subject: str, schema: AvroSchema) -> Registration:
        """Register *schema*, durably if it is new.

        Raises:
            InvalidSchemaError: no schema, or one that could harm its readers.
            IncompatibleSchemaError: it would break readers or writers of *subject*.
            SchemaIdCollisionError: another schema has its id.
            RegistryUnavailableError: the topic cannot be read or written.
        """
        # The lock keeps two callers of this process from claiming one version, and
        # from passing each other's compatibility check. Workers may still meet.
        async with self._one_at_a_time:
            await self.refresh()
            registration = self.subjects.register(subject, schema)
            if registration.record is not None:
                await self.publish(*registration.record)
                self.subjects.apply(*registration.record)
            return registration
