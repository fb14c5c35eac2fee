"""A wire to a server: TCP on loopback that can be cut, stalled, slowed and mended.

Each connection belongs to an owner, so that one of several clients can be cut off
while the others go on. Who owns a connection is asked when it is accepted.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self

CHUNK_BYTES: Final = 1 << 16

OwnerOf = Callable[[int], str]
"""Who connected from this local port."""


def nobody(_: int) -> str:
    """Return the owner where all connections share their fate."""
    return ""


@dataclass(eq=False)
class Valve:
    """What happens to the connections of one owner."""

    open: bool = True
    delay_s: float = 0.0
    """Before each piece is passed on, both ways."""
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.flows.set()

    def reset(self) -> None:
        """End the connections that there are."""
        for writer in self.writers:
            writer.transport.abort()


class Wire:
    """Forwards a port of ours to a server's, on a thread."""

    def __init__(self, port: int, target: int, owner_of: OwnerOf = nobody) -> None:
        self._target = target
        self._owner_of = owner_of
        self._valves: defaultdict[str, Valve] = defaultdict(Valve)
        self._all = Valve()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", port)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self, owner: str | None = None) -> None:
        """End every connection, and every new one, until :meth:`mend`."""
        self._valve(owner).open = False
        self.reset(owner)

    def stall(self, owner: str | None = None) -> None:
        """Keep connections, and pass nothing on, until :meth:`mend`."""
        self._do(self._valve(owner).flows.clear)

    def slow(self, delay_s: float, owner: str | None = None) -> None:
        """Pass each piece on *delay_s* later, until :meth:`mend`."""
        self._valve(owner).delay_s = delay_s

    def reset(self, owner: str | None = None) -> None:
        """End the connections that there are; new ones are fine."""
        affected = [self._valve(owner)]
        if owner is None:
            affected += self._valves.values()
        for valve in affected:
            self._do(valve.reset)

    def mend(self, owner: str | None = None) -> None:
        """Let everything through again."""
        valve = self._valve(owner)
        valve.open, valve.delay_s = True, 0.0
        self._do(valve.flows.set)

    def close(self) -> None:
        """Stop."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._do(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, action: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(action)

    async def _end(self) -> None:
        self._server.close()
        ours = asyncio.all_tasks() - {asyncio.current_task()}
        for task in ours:
            task.cancel()
        for valve in self._valves.values():
            valve.reset()
        await asyncio.gather(*ours, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    def _valve(self, owner: str | None) -> Valve:
        return self._all if owner is None else self._valves[owner]

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        port = writer.get_extra_info("peername")[1]
        valve = self._valves[await asyncio.to_thread(self._owner_of, port)]
        if not (self._all.open and valve.open):
            writer.transport.abort()
            return
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, there[1]}
        valve.writers |= ends
        lost: set[int] = set()
        await asyncio.gather(
            self._pump(reader, there[1], valve, lost, asks=True),
            self._pump(there[0], writer, valve, lost, asks=False),
        )
        valve.writers -= ends

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        valve: Valve,
        lost: set[int],
        *,
        asks: bool,
    ) -> None:
        try:
            while piece := await self._piece(reader):
                if self._all.delay_s or valve.delay_s:
                    await asyncio.sleep(self._all.delay_s + valve.delay_s)
                await self._all.flows.wait()
                await valve.flows.wait()
                if await self._passes(piece, lost, asks=asks):
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.transport.abort()

    async def _piece(self, reader: asyncio.StreamReader) -> bytes:
        """Return what is passed on at once; nothing at the end."""
        return await reader.read(CHUNK_BYTES)

    async def _passes(self, piece: bytes, lost: set[int], *, asks: bool) -> bool:
        """Say whether a piece is passed on. *lost* lives as long as its connection."""
        return True
