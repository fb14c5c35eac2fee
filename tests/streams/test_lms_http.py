"""HTTP as LM calls use it: pieces in any cut, kept connections, every way to break."""

import asyncio
import gc
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lms import http_pool
from streams.lms.http_answer import HEAD_BYTES, AnswerReader, GarbledAnswerError
from streams.lms.http_pool import (
    Address,
    CutOffError,
    HeldBackError,
    Pool,
    UnreachableError,
)
from tests.streams.permits import LatePermit

OK = b"HTTP/1.1 200 OK\r\n"
LIMIT = 1_000

WHOLE = {
    "stated": OK + b"Content-Length: 5\r\n\r\nhello",
    "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
    "trailers": OK + b"transfer-encoding: Chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n"
    + OK
    + b"Content-Length: 5\r\n\r\nhello",
    "identity": OK + b"Content-Encoding: identity\r\nContent-Length:5\r\n\r\nhello",
}
GARBLED = {
    "no http": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "no status": b"HTTP/1.1 abc\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"x" * HEAD_BYTES,
    "length": OK + b"Content-Length: five\r\n\r\n",
    "negative": OK + b"Content-Length: -5\r\n\r\n",
    "chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
    "gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "large": OK + b"Content-Length: 9999\r\n\r\n" + b"x" * (LIMIT + 1),
    "large chunks": OK
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"100\r\n"
    + b"x" * 256
    + b"\r\n"
    + b"400\r\n"
    + b"x" * 1000,
    "large and endless": OK + b"\r\n" + b"x" * (LIMIT + 1),
}


def read(pieces):
    reader = AnswerReader(LIMIT)
    for piece in pieces:
        answer = reader.feed(piece)
        if answer is not None:
            return answer
    return None


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(name):
    whole = WHOLE[name]
    for cut in range(1, len(whole)):
        answer = read([whole[:cut], whole[cut:]])
        assert answer is not None
        assert (answer.status, answer.body, answer.reusable) == (200, b"hello", True)
    assert read([bytes([byte]) for byte in whole]) is not None


@pytest.mark.parametrize("name", GARBLED)
def test_what_is_no_usable_answer_is_refused(name):
    with pytest.raises(GarbledAnswerError):
        read([GARBLED[name]])


@given(st.lists(st.binary(), max_size=20))
def test_no_bytes_raise_anything_else(pieces):
    with suppress(GarbledAnswerError):
        read(pieces)


def test_a_body_without_a_length_ends_with_its_connection():
    reader = AnswerReader(LIMIT)
    assert reader.feed(OK + b"\r\nhel") is None
    assert reader.feed(b"lo") is None
    answer = reader.end()
    assert (answer.body, answer.reusable) == (b"hello", False)


@pytest.mark.parametrize("name", ["stated", "chunked"])
def test_a_body_with_a_length_must_reach_it(name):
    reader = AnswerReader(LIMIT)
    reader.feed(WHOLE[name][:-3])
    with pytest.raises(GarbledAnswerError):
        reader.end()


@pytest.mark.parametrize(
    "head",
    [
        OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 0\r\n\r\nleft over",
    ],
)
def test_a_connection_is_kept_only_if_both_sides_know_where_they_are(head):
    assert read([head]).reusable is False


def test_some_answers_have_no_body_and_headers_ignore_case():
    answer = read([b"HTTP/1.1 204 No Content\r\nRETRY-after:  7 \r\n\r\n"])
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers == {"retry-after": "7"}


class Server:
    """A server that plays a script: one behaviour per connection, then the last."""

    def __init__(self, *script):
        self.script = list(script)
        self.requests = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader, writer):
        self.connections += 1
        act = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                self.requests.append(head + await reader.readexactly(length))
                if not await act(writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*script):
    server = Server(*script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}/v1/chat"
    pool = Pool(Address.of(server.url, {"X-Key": "k"}), limit_bytes=LIMIT)
    try:
        yield server, pool
    finally:
        pool.close()
        listener.close()
        await listener.wait_closed()


async def until(condition):
    while not condition():  # noqa: ASYNC110 - nothing tells us, and it is soon
        await asyncio.sleep(0)


def says(data, *, stay=True):
    async def act(writer):
        writer.write(data)
        await writer.drain()
        return stay

    return act


async def hangs(_writer):
    await asyncio.Event().wait()


async def closes(_writer):
    return False


async def test_a_request_says_where_it_goes_and_what_it_is():
    async with serving(says(WHOLE["stated"])) as (server, pool):
        answer = await pool.post(b"body", b"X-Request-Id: r\r\n")
    port = server.url.split(":")[2].split("/")[0].encode()
    assert answer.body == b"hello"
    assert server.requests == [
        b"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1:" + port + b"\r\nX-Key: k\r\n"
        b"X-Request-Id: r\r\nContent-Length: 4\r\n\r\nbody"
    ]


async def test_a_connection_is_used_again_and_by_one_call_at_a_time():
    async with serving(says(WHOLE["stated"])) as (server, pool):
        for _ in range(3):
            await pool.post(b"")
        assert server.connections == 1
        await asyncio.gather(*(pool.post(b"") for _ in range(4)))
        assert server.connections == 4


async def test_who_lost_the_permit_while_it_connected_sends_nothing():
    permit = LatePermit()
    async with serving(says(WHOLE["stated"])) as (server, pool):
        with pytest.raises(HeldBackError):
            await pool.post(b"", permit=permit)
        assert server.requests == []
        permit.go.set()
        assert (await pool.post(b"", permit=permit)).body == b"hello"
        assert (len(server.requests), server.connections) == (1, 1)


async def test_a_connection_that_may_not_be_kept_is_not():
    answer = OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    async with serving(says(answer)) as (server, pool):
        await pool.post(b"")
        await pool.post(b"")
        assert server.connections == 2


async def test_a_connection_that_its_server_closed_is_not_used_again():
    async with serving(says(WHOLE["stated"], stay=False)) as (server, pool):
        await pool.post(b"")
        await until(lambda: not pool._idle)  # noqa: SLF001 - no sooner
        await pool.post(b"")
        assert server.connections == 2


async def test_a_connection_that_ended_is_cut_off_for_whoever_still_has_it():
    async with serving(says(WHOLE["stated"], stay=False)) as (_, pool):
        connection = await pool._connect()  # noqa: SLF001 - the moment before a request
        connection.close()
        connection.connection_lost(None)
        with pytest.raises(CutOffError):
            await connection.ask(b"")


async def test_a_connection_that_lay_idle_for_long_is_not_used_again(monkeypatch):
    async with serving(says(WHOLE["stated"])) as (server, pool):
        await pool.post(b"")
        monkeypatch.setattr(http_pool, "IDLE_S", 0.0)
        await pool.post(b"")
        assert server.connections == 2


async def test_a_cut_before_the_answer_is_told_from_a_cut_within_it():
    within = says(WHOLE["stated"][:-1], stay=False)
    async with serving(closes, within) as (_, pool):
        with pytest.raises(CutOffError):
            await pool.post(b"")
        with pytest.raises(GarbledAnswerError):
            await pool.post(b"")


async def test_an_answer_may_end_with_its_connection():
    async with serving(says(OK + b"\r\nhello", stay=False)) as (_, pool):
        assert (await pool.post(b"")).body == b"hello"


async def test_a_garbled_answer_closes_its_connection():
    async with serving(says(GARBLED["no http"]), says(WHOLE["stated"])) as (
        server,
        pool,
    ):
        with pytest.raises(GarbledAnswerError):
            await pool.post(b"")
        assert (await pool.post(b"")).body == b"hello"
        assert server.connections == 2


async def test_what_was_read_goes_with_the_error_that_it_ended_in():
    async with serving(says(GARBLED["large"])) as (_, pool):
        gc.collect()
        gc.disable()
        try:
            with suppress(GarbledAnswerError):
                await pool.post(b"")
            await asyncio.sleep(0.01)
            left = [o for o in gc.get_objects() if isinstance(o, AnswerReader)]
        finally:
            gc.enable()
    assert not left


async def test_a_cancelled_call_leaves_no_answer_for_the_next():
    async with serving(hangs, says(WHOLE["stated"])) as (server, pool):
        call = asyncio.create_task(pool.post(b"first"))
        await until(lambda: server.requests)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await pool.post(b"second")).body == b"hello"
        assert server.connections == 2


async def test_what_nobody_asked_for_closes_the_connection():
    async def late(writer):
        writer.write(WHOLE["stated"])
        await writer.drain()
        asyncio.get_running_loop().call_soon(writer.write, b"more")
        return True

    async with serving(late) as (_, pool):
        await pool.post(b"")
        await until(lambda: not pool._idle)  # noqa: SLF001 - no sooner


async def test_closing_the_pool_cuts_calls_off():
    async with serving(hangs) as (server, pool):
        call = asyncio.create_task(pool.post(b""))
        await until(lambda: server.requests)
        pool.close()
        with pytest.raises(CutOffError):
            await call


async def test_nobody_there_is_unreachable():
    async with serving(closes) as (_, pool):
        pass
    with pytest.raises(UnreachableError):
        await pool.post(b"")


async def test_a_host_that_says_nothing_is_unreachable_too(monkeypatch):
    monkeypatch.setattr(http_pool, "CONNECT_S", 0.0)
    pool = Pool(Address.of("http://127.0.0.1:9", {}), limit_bytes=LIMIT)
    with pytest.raises(UnreachableError, match="within 0 s"):
        await pool.post(b"")


async def test_tls_is_spoken_to_https_addresses():
    heard = []

    async def listen(reader, writer):
        heard.append(await reader.read(3))
        writer.write(b"no TLS here\r\n")
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = Pool(Address.of(f"https://127.0.0.1:{port}", {}), limit_bytes=LIMIT)
    with pytest.raises(UnreachableError, match=r"(?i)ssl"):
        await pool.post(b"")
    server.close()
    assert heard == [b"\x16\x03\x01"]  # how a TLS handshake begins


@pytest.mark.parametrize(
    ("url", "port", "head"),
    [
        ("http://a.example/v1", 80, b"POST /v1 HTTP/1.1\r\nHost: a.example\r\n"),
        ("https://a.example", 443, b"POST / HTTP/1.1\r\nHost: a.example\r\n"),
        (
            "http://[::1]:81/x y?q=ü",
            81,
            b"POST /x%20y?q=%C3%BC HTTP/1.1\r\nHost: [::1]:81\r\n",
        ),
        (
            "http://bücher.example/",
            80,
            b"POST / HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n",
        ),
    ],
)
def test_an_address_is_read_from_its_url(url, port, head):
    address = Address.of(url, {})
    assert (address.port, address.head) == (port, head)
    assert address.tls == url.startswith("https")


@pytest.mark.parametrize(
    "url",
    ["ftp://a", "http://", "a.example", "http://a:0", "http://u:p@a", "http://a:x"],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValueError):  # noqa: PT011 - urlsplit has its own words
        Address.of(url, {})
