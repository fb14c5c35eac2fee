"""The pool of connections to an LM: as many as are in use, and no more for long."""

import asyncio
import contextlib

from streams.lms import http_pool
from streams.lms.http_pool import Address, Pool

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
AT_ONCE = 5


class Server:
    """Answers once *AT_ONCE* ask at the same time, and later at once."""

    def __init__(self) -> None:
        self.open = 0
        self._asked = 0
        self._busy = asyncio.Event()

    async def serve(self, reader, writer) -> None:
        self.open += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"{}"):
                self._asked += 1
                if self._asked == AT_ONCE:
                    self._busy.set()
                await self._busy.wait()
                writer.write(REPLY)
        writer.close()
        self.open -= 1


async def test_connections_of_a_busy_moment_are_closed_although_one_is_in_use(
    monkeypatch,
):
    monkeypatch.setattr(http_pool, "IDLE_S", 0.2)
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        pool = Pool(Address.of(f"http://127.0.0.1:{port}/", {}), limit_bytes=1_000)
        await asyncio.gather(*(pool.post(b"{}", b"") for _ in range(AT_ONCE)))
        assert server.open == AT_ONCE
        async with asyncio.timeout(20):
            while server.open > 1:
                await pool.post(b"{}", b"")
                await asyncio.sleep(0.01)
        pool.close()
