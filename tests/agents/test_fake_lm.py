"""The fake LM speaks the protocol, misbehaves on demand, and writes everything down."""

import asyncio
import random
import signal
import subprocess
import sys
from contextlib import suppress

import aiohttp
import orjson
import pytest

from agents import fake_lm
from agents.fake_lm import GARBAGE, Behaviour, FakeLMOptions, serve, start
from streams.clock import ManualClock
from streams.errors import ConfigError

ASKED = {"model": "any", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
async def server(tmp_path):
    running = await start(FakeLMOptions(log=tmp_path / "log"), ManualClock())
    yield running
    await running.stop()


@pytest.fixture
async def client():
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(client, server, request_id="r", body=None):
    return await client.post(
        f"{server.url}/chat/completions",
        json=ASKED if body is None else body,
        headers={"X-Request-Id": request_id},
    )


async def control(client, server, **changes):
    url = server.url.replace("/v1", "/control")
    async with client.post(url, json=changes) as response:
        return response.status, await response.json()


def logged(tmp_path):
    return [orjson.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]


async def until(condition):
    while not condition():  # noqa: ASYNC110 - nothing tells us, and it is soon
        await asyncio.sleep(0.001)


async def test_a_completion_has_the_shape_that_clients_expect(client, server):
    response = await ask(client, server)
    body = await response.json()
    assert response.status == 200
    assert "hello" in body["choices"][0]["message"]["content"]
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["model"] == "any"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_the_same_question_gets_the_same_answer(client, server):
    first, second = [await (await ask(client, server)).read() for _ in range(2)]
    assert first == second


async def test_every_call_is_logged_when_it_comes_and_when_it_is_answered(
    client, server, tmp_path
):
    await ask(client, server, "order-1/draft/0")
    await control(client, server, error_rate=1)
    await ask(client, server, "ünï")
    now = ManualClock().now_ms()
    first = {"call": 1, "request_id": "order-1/draft/0", "at_ms": now}
    assert logged(tmp_path)[:2] == [
        {"event": "received", **first},
        {"event": "answered", "status": 200, **first},
    ]
    assert [line.get("status") for line in logged(tmp_path)[2:]] == [None, 500]


async def test_a_line_is_there_before_its_answer_is(client, server, tmp_path):
    await control(client, server, hang_rate=1)
    call = asyncio.create_task(ask(client, server))
    await until(lambda: server.lm.in_flight)
    assert [line["event"] for line in logged(tmp_path)] == ["received"]
    call.cancel()


async def test_an_answer_that_nobody_waits_for_is_abandoned(client, server, tmp_path):
    await control(client, server, latency_ms=100)
    call = asyncio.create_task(ask(client, server))
    await until(lambda: server.lm.in_flight)
    call.cancel()
    await until(lambda: len(logged(tmp_path)) == 2)
    assert logged(tmp_path)[1]["event"] == "abandoned"


async def test_without_a_log_nothing_is_written_but_all_is_counted(client):
    running = await start(FakeLMOptions())
    await ask(client, running)
    assert running.lm.log.counts == {"received": 1, "answered": 1}
    await running.stop()


async def test_too_much_at_once_is_refused_with_a_time_to_come_back(client, server):
    await control(client, server, limit=1, latency_ms=50, retry_after_s=2.5)
    responses = await asyncio.gather(*(ask(client, server) for _ in range(3)))
    assert sorted(response.status for response in responses) == [200, 429, 429]
    busy = next(response for response in responses if response.status == 429)
    assert busy.headers["Retry-After"] == "2.5"


@pytest.mark.parametrize(("rate", "status"), [("error_rate", 500), ("busy_rate", 429)])
async def test_a_rate_is_the_share_of_calls_that_fare_so(client, server, rate, status):
    await control(client, server, **{rate: 0.5})
    responses = [await ask(client, server) for _ in range(60)]
    share = sum(response.status == status for response in responses) / 60
    assert 0.3 < share < 0.7


async def test_the_same_seed_makes_the_same_luck(client):
    fared = []
    for _ in range(2):
        running = await start(
            FakeLMOptions(seed=7, behaviour=Behaviour(error_rate=0.5))
        )
        fared.append([(await ask(client, running)).status for _ in range(20)])
        await running.stop()
    assert fared[0] == fared[1]
    assert set(fared[0]) == {200, 500}


async def test_garbage_comes_in_every_kind(client, server):
    await control(client, server, garbage_rate=1)
    kinds = []
    for _ in GARBAGE:
        response = await ask(client, server)
        try:
            kinds.append(len(await response.read()))
        except aiohttp.ClientPayloadError:
            kinds.append("cut off")
        assert response.status == 200
    assert "cut off" in kinds
    assert max(size for size in kinds if size != "cut off") >= fake_lm.HUGE_BYTES


async def test_a_stop_ends_calls_that_hang(client, server):
    await control(client, server, hang_rate=1)
    call = asyncio.create_task(ask(client, server))
    await until(lambda: server.lm.in_flight)
    await server.stop()
    with suppress(aiohttp.ClientError):
        assert (await call).status == 200


async def test_behaviour_is_shown_and_changed_while_it_runs(client, server):
    status, state = await control(client, server, latency_ms=1, latency="exponential")
    assert status == 200
    assert state["behaviour"]["latency"] == "exponential"
    async with client.get(server.url.replace("/v1", "/control")) as response:
        assert await response.json() == state


@pytest.mark.parametrize(
    "changes",
    [
        {"speed": 1},
        {"error_rate": -1},
        {"error_rate": "0.5"},
        {"error_rate": True},
        {"latency": "uniform"},
    ],
)
async def test_a_wrong_behaviour_is_refused_and_nothing_changes(
    client, server, changes
):
    status, body = await control(client, server, **changes)
    assert status == 400
    assert next(iter(changes)) in body["error"]["message"]
    assert server.lm.behaviour == Behaviour()


async def test_all_wrong_options_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        Behaviour.of({"a": 1, "latency": "x", "limit": None}, Behaviour())
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("body", [[], {}, {"messages": 7}, {"messages": [7]}])
async def test_an_unreadable_request_is_refused(client, server, body):
    assert (await ask(client, server, body=body)).status == 400


async def test_control_wants_an_object(client, server):
    url = server.url.replace("/v1", "/control")
    for body in (b"not json", b"[1]"):
        async with client.post(url, data=body) as response:
            assert response.status == 400


async def test_models_are_listed_and_other_routes_are_not_there(client, server):
    async with client.get(f"{server.url}/models") as response:
        assert (await response.json())["data"][0]["id"] == "demo"
    async with client.get(f"{server.url}/embeddings") as response:
        assert response.status == 404


@pytest.mark.parametrize("latency", fake_lm.LATENCIES)
def test_latencies_are_drawn_around_their_mean(latency):
    behaviour = Behaviour(latency=latency, latency_ms=100, spread_ms=20)
    dice = random.Random(1)  # noqa: S311 - a dice, not a key
    drawn = sorted(behaviour.draw_s(dice) for _ in range(2_000))
    assert drawn[0] >= 0
    assert 0.08 < sum(drawn) / len(drawn) < 0.12
    assert (drawn[0] == drawn[-1]) == (latency == "fixed")


async def test_serving_says_where_it_is_and_ends_when_told(capsys):
    stop = asyncio.Event()
    task = asyncio.create_task(serve(FakeLMOptions(), stop))
    stop.set()
    await task
    assert capsys.readouterr().out.startswith("fake LM on http://127.0.0.1:")


def test_a_server_of_its_own_ends_with_a_signal():
    code = "from agents.fake_lm import *; run_server(FakeLMOptions())"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as it:  # noqa: S603 - ours
        assert it.stdout.readline().startswith(b"fake LM on http://")
        it.send_signal(signal.SIGTERM)
        assert it.wait(timeout=20) == 0


def test_the_server_needs_no_dspy():
    code = "import sys, agents.fake_lm; sys.exit('dspy' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=False).returncode == 0  # noqa: S603 - ours
