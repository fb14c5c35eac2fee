"""A proxy in front of a broker: a wire that can lose or hold back what Kafka says.

It reads Kafka's framing (a length, then in requests api key, version and correlation
id), so that a test can name the request whose fate it decides.
"""

import asyncio
import struct
import threading
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.integration.wire import OwnerOf, Wire, nobody

END_TXN: Final = 26
HEAD: Final = struct.Struct(">hhi")
LENGTH: Final = struct.Struct(">i")

Fate = Literal["lose request", "lose reply", "hold"]


@dataclass(eq=False)
class Rule:
    """What happens to the next request of one kind."""

    api: int
    fate: Fate
    hit: threading.Event = field(default_factory=threading.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


class Proxy(Wire):
    """A wire to a broker, whose requests and replies it can tell apart."""

    def __init__(self, port: int, target: int, owner_of: OwnerOf = nobody) -> None:
        self._rules: list[Rule] = []
        super().__init__(port, target, owner_of)

    @property
    def bootstrap(self) -> str:
        return self.address

    def next(self, api: int, fate: Fate) -> Rule:
        """Decide the *fate* of the next request of kind *api*."""
        rule = Rule(api, fate)
        self._do(lambda: self._rules.append(rule))
        return rule

    def release(self, rule: Rule) -> None:
        """Let a request go on that was held."""
        self._do(rule.released.set)

    async def _piece(self, reader: asyncio.StreamReader) -> bytes:
        length = await reader.readexactly(LENGTH.size)
        return length + await reader.readexactly(*LENGTH.unpack(length))

    async def _passes(self, piece: bytes, lost: set[int], *, asks: bool) -> bool:
        if not asks:
            return LENGTH.unpack_from(piece, LENGTH.size)[0] not in lost
        api, _, correlation = HEAD.unpack_from(piece, LENGTH.size)
        rule = next((rule for rule in self._rules if rule.api == api), None)
        if rule is None:
            return True
        self._rules.remove(rule)
        rule.hit.set()
        if rule.fate == "lose request":
            return False
        if rule.fate == "lose reply":
            lost.add(correlation)
        else:
            await rule.released.wait()
        return True
