"""Schemas by id: known ones at once, new ones after asking the registry."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from schemas.codec import ParsedSchema
from schemas.errors import SchemaError, UnknownSchemaError
from streams.clock import Clock

log = structlog.get_logger(__name__)

GIVEN_UP_S: Final = 30.0
"""How long an id that nobody knew counts as unknown without asking again."""

ASK_AGAIN_S: Final = 0.25

AskRegistry = Callable[[int | str], Awaitable[str]]
"""Return the schema text of an id or GUID; raises UnknownSchemaError."""


class SchemaFinder:
    """A cache in front of a registry that never blocks who looks into it."""

    def __init__(self, ask: AskRegistry, clock: Clock, *, wait_s: float) -> None:
        self._ask = ask
        self._clock = clock
        self._wait_s = wait_s
        self._known: dict[int | str, ParsedSchema] = {}
        self._given_up: dict[int | str, float] = {}

    def find(self, ref: int | str) -> ParsedSchema:
        """Return a schema that is known already.

        Raises:
            UnknownSchemaError: it is not; :meth:`learn` it.
        """
        try:
            return self._known[ref]
        except KeyError:
            raise UnknownSchemaError(ref) from None

    def add(self, schema: ParsedSchema) -> None:
        """Know *schema* from now on."""
        self._known[schema.id] = schema

    def given_up(self, ref: int | str) -> bool:
        """Say whether *ref* was asked for lately, long enough, and in vain."""
        since_s = self._given_up.get(ref)
        return since_s is not None and self._clock.monotonic_s() - since_s < GIVEN_UP_S

    async def learn(self, ref: int | str) -> None:
        """Ask the registry for *ref*, for as long as the setting says.

        A registry that cannot be asked is waited for: its silence says nothing about
        the id, and a dead letter is for ever.
        """
        until_s = self._clock.monotonic_s() + self._wait_s
        while True:
            try:
                text = await self._ask(ref)
            except UnknownSchemaError:
                if self._clock.monotonic_s() >= until_s:
                    break
            except (SchemaError, OSError, TimeoutError) as error:
                log.warning("registry.away", ref=ref, error=repr(error))
            else:
                self._learned(ref, text)
                return
            await asyncio.sleep(ASK_AGAIN_S)
        self._given_up[ref] = self._clock.monotonic_s()

    def _learned(self, ref: int | str, text: str) -> None:
        try:
            number = ref if isinstance(ref, int) else None
            self._known[ref] = ParsedSchema.of(text, ref=number)
        except SchemaError as error:
            log.warning("registry.bad_schema", ref=ref, error=str(error))
            self._given_up[ref] = self._clock.monotonic_s()
