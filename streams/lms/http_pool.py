"""POST to one address over kept connections: HTTP/1.1 as far as an LM call needs it.

Why not aiohttp's client: it costs about 300 µs of CPU a call where this costs a third,
and that is most of what a call costs us (``docs/performance.md``). TLS, DNS and racing
IPv6 against IPv4 are asyncio's. Not here, because nobody needs it: redirects, cookies,
compression, pipelining, HTTP proxies.

States of a connection: *idle* in the pool, *asked* (one request at a time), *closed*.
``post`` takes it out of the pool, and puts it back only after a complete answer that
allows it: a cancelled or broken exchange closes it. A server that closes an idle
connection takes it out of the pool.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote, urlsplit

from streams.lms.http_answer import AnswerReader, GarbledAnswerError, HttpAnswer
from streams.permit import ALWAYS, Permit

CONNECT_S: Final = 5.0
"""Longest wait for a connection; a host that drops packets is as good as down."""

IDLE_S: Final = 30.0
"""A connection that lay idle for longer is not used: its server may be closing it."""

RACE_S: Final = 0.25
"""Head start of the first address over the next one (RFC 8305)."""


class UnreachableError(Exception):
    """No connection could be made."""


class HeldBackError(Exception):
    """The permit was gone once there was a connection."""


class CutOffError(Exception):
    """The connection ended before its answer began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to post."""

    host: str
    port: int
    tls: bool
    head: bytes
    """First line and constant headers of every request."""

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str]) -> Self:
        """Return the address of *url*, with *headers* for every request.

        Raises:
            ValueError: *url* is no http(s) address.
        """
        parts = urlsplit(url)
        http = parts.scheme in {"http", "https"} and parts.port != 0
        if not (http and parts.hostname and parts.username is None):
            raise ValueError(url)
        tls = parts.scheme == "https"
        host = parts.hostname.encode("idna").decode()
        shown = f"[{host}]" if ":" in host else host
        shown += f":{parts.port}" if parts.port else ""
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        path += f"?{quote(parts.query, safe=_QUERY)}" if parts.query else ""
        lines = [f"POST {path} HTTP/1.1", f"Host: {shown}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        port = parts.port or (443 if tls else 80)
        head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        return cls(host=host, port=port, tls=tls, head=head)


_QUERY: Final = "/%:@!$&'()*+,;=~-._?"


class _Connection(asyncio.Protocol):
    """One connection; see the states above."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self.idle_since_s = 0.0

    async def ask(self, request: bytes, permit: Permit = ALWAYS) -> HttpAnswer:
        """Send *request* and return its answer.

        Raises:
            HeldBackError: *permit* is not granted; nothing was sent.
            CutOffError: the connection ended before an answer began.
            GarbledAnswerError: the answer is none, or incomplete.
        """
        if self._transport is None:
            raise CutOffError
        self._reader = AnswerReader(self._pool.limit_bytes)
        self._answer = asyncio.get_running_loop().create_future()
        try:
            # The very last: a process that is stopped in between sends when it wakes.
            if not permit.granted():
                raise HeldBackError
            self._transport.write(request)
            return await self._answer
        finally:
            # An idle connection holds no answer; and an error holds this frame, whose
            # future would hold the error: a ring, with all that was read in it.
            self._reader = self._answer = None

    def rest(self, now_s: float) -> None:
        """Lie idle from now on."""
        self.idle_since_s = now_s

    def close(self) -> None:
        """Close at once, whatever is still to come."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # create_connection makes nothing else

    def data_received(self, data: bytes) -> None:
        if self._reader is None or self._answer is None or self._answer.done():
            self.close()  # nobody asked
            return
        try:
            answer = self._reader.feed(data)
        except GarbledAnswerError as error:
            self._answer.set_exception(error)
            return
        if answer is not None:
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._pool.forget(self)
        if self._reader is None or self._answer is None or self._answer.done():
            return
        if not self._reader.begun:
            self._answer.set_exception(CutOffError(str(exc or "closed")))
            return
        try:
            self._answer.set_result(self._reader.end())
        except GarbledAnswerError as error:
            self._answer.set_exception(error)


class Pool:
    """Connections to one address, as many as are in use at once."""

    def __init__(self, address: Address, *, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        """Largest body that is read."""
        self._address = address
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None

    async def post(
        self,
        body: bytes,
        headers: bytes = b"",
        *,
        permit: Permit = ALWAYS,
    ) -> HttpAnswer:
        """Post *body* with extra *headers* (lines that end in CRLF).

        *permit* is asked last, with a connection at hand: making one takes a while, and
        a worker that was stopped meanwhile may have a successor.

        Raises:
            HeldBackError: it is not granted; nothing was sent.
            UnreachableError: no connection could be made.
            CutOffError: the connection ended before an answer began. The server may
                have taken the request all the same.
            GarbledAnswerError: the answer is none, or incomplete, or too large.
        """
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        connection = self._kept() or await self._connect()
        self._busy.add(connection)
        try:
            answer = await connection.ask(
                b"".join((self._address.head, headers, length, body)), permit
            )
        except HeldBackError:
            self._rest(connection)
            raise
        except BaseException:
            # Cancelled or broken: an answer that may still come answers nobody.
            connection.close()
            raise
        finally:
            self._busy.discard(connection)
        self._keep(connection, answer)
        return answer

    def forget(self, connection: _Connection) -> None:
        """Take a connection that ended out of the pool."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close every connection; calls in flight are cut off."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    def _kept(self) -> _Connection | None:
        now_s = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if now_s - connection.idle_since_s < IDLE_S:
                return connection
            connection.close()
        return None

    def _keep(self, connection: _Connection, answer: HttpAnswer) -> None:
        if answer.reusable:
            self._rest(connection)
        else:
            connection.close()
        now_s = asyncio.get_running_loop().time()
        # Last in, first out: nobody comes for those that one busy moment left below.
        while self._idle and now_s - self._idle[0].idle_since_s >= IDLE_S:
            self._idle.pop(0).close()

    def _rest(self, connection: _Connection) -> None:
        connection.rest(asyncio.get_running_loop().time())
        self._idle.append(connection)

    async def _connect(self) -> _Connection:
        address = self._address
        if address.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self),
                    address.host,
                    address.port,
                    ssl=self._tls,
                    happy_eyeballs_delay=RACE_S,
                )
        except TimeoutError as error:
            reason = f"no connection to {address.host} within {CONNECT_S:g} s"
            raise UnreachableError(reason) from error
        except OSError as error:
            raise UnreachableError(str(error)) from error
        return connection
