"""A proxy in front of a broker: it can cut, and lose or hold back what Kafka says.

It reads Kafka's framing (a length, then in requests api key, version and correlation
id), so that a test can name the request whose fate it decides.
"""

import asyncio
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

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


class Proxy:
    """Forwards a port of ours to a broker's, on a thread."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._open = True
        self._rules: list[Rule] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", port)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End every connection, and every new one, until :meth:`mend`."""
        self._open = False
        self._do(self._end_all)

    def mend(self) -> None:
        """Let connections through again."""
        self._open = True

    def next(self, api: int, fate: Fate) -> Rule:
        """Decide the *fate* of the next request of kind *api*."""
        rule = Rule(api, fate)
        self._do(lambda: self._rules.append(rule))
        return rule

    def release(self, rule: Rule) -> None:
        """Let a request go on that was held."""
        self._do(rule.released.set)

    def close(self) -> None:
        """Stop."""
        self.cut()
        self._do(self._server.close)
        self._do(self._loop.stop)
        self._thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, action: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(action)

    def _end_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not self._open:
            writer.transport.abort()
            return
        there = await asyncio.open_connection("127.0.0.1", self._target)
        lost: set[int] = set()
        self._writers |= {writer, there[1]}
        await asyncio.gather(
            self._pump(reader, there[1], lambda body: self._request(body, lost)),
            self._pump(there[0], writer, lambda body: self._reply(body, lost)),
        )
        self._writers -= {writer, there[1]}

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passes: Callable[[bytes], Awaitable[bool]],
    ) -> None:
        try:
            while True:
                length = await reader.readexactly(LENGTH.size)
                body = await reader.readexactly(*LENGTH.unpack(length))
                if await passes(body):
                    writer.write(length + body)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()

    async def _request(self, body: bytes, lost: set[int]) -> bool:
        api, _, correlation = HEAD.unpack_from(body)
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

    async def _reply(self, body: bytes, lost: set[int]) -> bool:
        return LENGTH.unpack_from(body)[0] not in lost
