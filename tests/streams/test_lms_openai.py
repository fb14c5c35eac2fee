"""An OpenAI-compatible LM: answers, errors that the server stands for, and outages."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from agents.fake_lm import GARBAGE, Behaviour, FakeLMOptions, start
from streams.clock import ManualClock
from streams.errors import (
    ModelBusyError,
    ModelRefusedError,
    ModelUnavailableError,
)
from streams.lms import openai_http
from streams.lms.openai_http import Endpoint, OpenAILM
from streams.lms.outage import CEILING_S, HOLD_S, Outage, delay_s
from streams.metrics import NullRecorder
from streams.stage import LMCall
from tests.streams.permits import LatePermit

CALL = LMCall(messages=({"role": "user", "content": "hello"},), request_id="r/s/0")


class Gauges(NullRecorder):
    def __init__(self):
        self.up = []

    def gauge(self, name, value, **labels):
        if name == "penstock_lm_up":
            self.up.append(value)


@pytest.fixture
async def server():
    running = await start(FakeLMOptions())
    yield running
    await running.stop()


@pytest.fixture
def gauges():
    return Gauges()


@pytest.fixture
async def lm(server, gauges):
    opened = lm_at(server.url, gauges)
    yield opened
    await opened.aclose()


def lm_at(url, recorder=None, clock=None, **options):
    endpoint = Endpoint(url=f"{url}/chat/completions", model="m", **options)
    return OpenAILM("small", endpoint, recorder or Gauges(), clock or ManualClock())


async def until(condition):
    while not condition():  # noqa: ASYNC110 - nothing tells us, and it is soon
        await asyncio.sleep(0.001)


def behave(server, **behaviour):
    server.lm.behaviour = Behaviour(**behaviour)


async def test_an_answer_comes_back_with_its_usage(lm):
    answer = await lm.complete("s", CALL)
    assert "hello" in answer.text
    assert answer.usage.calls == 1
    assert answer.usage.input_tokens > 0
    assert lm.available()


async def test_the_server_is_told_for_whom_it_works(tmp_path):
    server = await start(FakeLMOptions(log=tmp_path / "log"))
    await lm_at(server.url).complete("s", CALL)
    await lm_at(server.url).complete("s", LMCall(messages=CALL.messages))
    await server.stop()
    lines = map(orjson.loads, (tmp_path / "log").read_bytes().splitlines())
    assert [line["request_id"] for line in lines] == ["r/s/0", "r/s/0", "", ""]


async def test_the_key_travels_as_a_bearer_token_and_shows_nowhere():
    endpoint = Endpoint(url="http://a/v1", model="m", key="sk-1")
    lm = OpenAILM("small", endpoint, Gauges(), ManualClock())
    assert b"Authorization: Bearer sk-1\r\n" in lm._pool._address.head  # noqa: SLF001
    assert "sk-1" not in repr(endpoint)


async def test_a_busy_server_says_when_to_come_back(server, lm):
    behave(server, busy_rate=1, retry_after_s=7)
    with pytest.raises(ModelBusyError) as caught:
        await lm.complete("s", CALL)
    assert caught.value.retry_after_s == 7


async def test_a_failing_server_is_an_answer_and_no_outage(server, lm):
    behave(server, error_rate=1)
    with pytest.raises(ModelUnavailableError):
        await lm.complete("s", CALL)
    assert lm.available()


@pytest.mark.parametrize("kind", range(len(GARBAGE)))
async def test_garbage_is_refused_or_useless_text(server, lm, kind):
    behave(server, garbage_rate=1)
    server.lm._garbage = kind  # noqa: SLF001 - which kind is next
    try:
        text = (await lm.complete("s", CALL)).text
    except ModelUnavailableError:
        text = ""
    assert "[[ ##" not in text
    behave(server)
    assert (await lm.complete("s", CALL)).text


async def test_a_refused_call_is_refused(server):
    with pytest.raises(ModelRefusedError, match="404"):
        await lm_at(server.url + "/nowhere").complete("s", CALL)


async def test_text_that_is_no_unicode_is_refused_before_it_is_sent(server, lm):
    call = LMCall(messages=({"role": "user", "content": "\ud800"},))
    with pytest.raises(ModelRefusedError):
        await lm.complete("s", call)
    assert not server.lm.log.counts


async def test_a_server_that_hangs_is_given_up_after_its_timeout(server):
    behave(server, hang_rate=1)
    with pytest.raises(ModelUnavailableError, match="no answer within"):
        await lm_at(server.url, timeout_s=0.01).complete("s", CALL)


async def test_a_cancelled_call_is_cancelled_and_the_next_one_works(server, lm):
    behave(server, hang_rate=1)
    call = asyncio.create_task(lm.complete("s", CALL))
    await until(lambda: server.lm.in_flight)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    behave(server)
    assert (await lm.complete("s", CALL)).text


async def test_a_call_that_is_tried_again_needs_its_permit_again():
    gone = await start(FakeLMOptions())
    lm = lm_at(gone.url)
    await gone.stop()
    permit = LatePermit()
    call = asyncio.create_task(lm.complete("s", replace(CALL, permit=permit)))
    await until(lambda: permit.looks)
    back = await start(FakeLMOptions(port=gone.port))
    await lm.complete("s", CALL)
    await asyncio.sleep(0)
    assert not call.done()
    permit.go.set()
    assert (await call).text
    await lm.aclose()
    await back.stop()


async def test_a_call_that_lost_its_permit_while_it_connected_waits_for_it(lm):
    permit = LatePermit()
    call = asyncio.create_task(lm.complete("s", replace(CALL, permit=permit)))
    await until(lambda: permit.looks)
    await lm.complete("s", CALL)
    assert not call.done()
    permit.go.set()
    assert (await call).text


async def test_an_outage_is_waited_for_and_ends_for_all_at_once(gauges):
    gone = await start(FakeLMOptions())
    lm = lm_at(gone.url, gauges)
    await gone.stop()
    calls = [asyncio.create_task(lm.complete("s", CALL)) for _ in range(5)]
    await until(lambda: not lm.available())
    back = await start(FakeLMOptions(port=gone.port))
    answers = await asyncio.gather(*calls)
    assert lm.available()
    assert len({answer.text for answer in answers}) == 1
    assert gauges.up == [1, 0, 1]
    await lm.aclose()
    await back.stop()


async def test_an_outage_lasts_until_the_caller_gives_up():
    gone = await start(FakeLMOptions())
    lm = lm_at(gone.url)
    await gone.stop()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await lm.complete("s", CALL)
    assert not lm.available()


async def test_a_lm_that_nobody_has_tried_for_long_counts_as_available():
    gone, clock = await start(FakeLMOptions()), ManualClock()
    lm = lm_at(gone.url, clock=clock)
    await gone.stop()
    call = asyncio.create_task(lm.complete("s", CALL))
    await until(lambda: not lm.available())
    call.cancel()
    clock.advance(HOLD_S)
    assert not lm.available()
    clock.advance(0.1)
    assert lm.available()


async def cutting(cuts):
    """Return a server that cuts off the first *cuts* calls, and those marked bad."""
    left = cuts

    async def serve(reader, writer):
        nonlocal left
        head = await reader.readuntil(b"\r\n\r\n")
        left -= 1
        if left < 0 and b"bad" not in head:
            body = b'{"choices": [{"message": {"content": "fine"}}]}'
            length = b"Content-Length: %d\r\n" % len(body)
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length)
            writer.write(b"\r\n" + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_one_cut_is_repeated_without_alarm(gauges):
    server, url = await cutting(1)
    assert (await lm_at(url, gauges).complete("s", CALL)).text == "fine"
    assert gauges.up == [1]
    server.close()


async def test_a_second_cut_in_a_row_is_an_outage(gauges):
    server, url = await cutting(2)
    assert (await lm_at(url, gauges).complete("s", CALL)).text == "fine"
    assert gauges.up == [1, 0, 1]
    server.close()


async def test_a_call_that_alone_is_cut_off_is_to_blame_itself():
    server, url = await cutting(0)
    lm = lm_at(url)
    bad = asyncio.create_task(
        lm.complete("s", LMCall(messages=CALL.messages, request_id="bad"))
    )
    while not bad.done():
        await lm.complete("s", CALL)
    with pytest.raises(ModelUnavailableError, match="cut off"):
        await bad
    server.close()


def test_delays_double_up_to_a_ceiling_and_are_spread():
    longest = [delay_s(tries, 1.0) for tries in range(1, 2_000)]
    assert longest[:3] == [0.1, 0.2, 0.4]
    assert max(longest) == CEILING_S
    assert delay_s(3, 0.0) == 0.2


def test_half_open_begins_only_when_nobody_can_still_be_trying():
    assert HOLD_S > CEILING_S + 5.0


async def test_while_up_a_repeated_try_waits_its_delay():
    outage = Outage("small", Gauges(), ManualClock(), lambda: 0.0)
    async with asyncio.timeout(5):
        await outage.wait(1, OSError("cut"), down=False)
    assert outage.available()


def test_a_fingerprint_knows_the_model_and_its_parameters_but_not_its_address():
    def fingerprint(url="http://a", model="m", **params):
        return Endpoint(url=url, model=model, params=params).fingerprint

    assert fingerprint(seed=1, top_p=1) == fingerprint("http://b", top_p=1, seed=1)
    assert len({fingerprint(), fingerprint(model="n"), fingerprint(seed=1)}) == 3


def test_an_answer_is_bounded_by_what_fits_a_record():
    assert openai_http.ANSWER_BYTES >= 1_048_576


async def test_only_the_same_call_carries_the_same_idempotency_key():
    keys, body = [], b'{"choices": [{"message": {"content": "fine"}}]}'

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        await reader.readexactly(int(fields["Content-Length"]))
        keys.append(fields["Idempotency-Key"])
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    lm = lm_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    other = LMCall(messages=({"role": "user", "content": "bye"},), request_id="r/s/0")
    for call in (CALL, CALL, other):
        await lm.complete("s", call)
    await lm.aclose()
    server.close()
    assert [key.startswith("r/s/0-") for key in keys] == [True] * 3
    assert keys[0] == keys[1] != keys[2]
