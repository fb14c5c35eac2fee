"""A server that speaks OpenAI's chat completions, and misbehaves on demand.

Tests and benchmarks ask it instead of a paid LM: it answers what ``local/demo`` would
answer, after a latency, or with an error, and writes down every call. What it does can
be changed while it runs (``POST /control``), so a test can begin and end an outage.

Routes: ``POST /v1/chat/completions`` · ``GET /v1/models`` · ``GET|POST /control``.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import log
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import click
import orjson
from aiohttp import web

from schemas.records import Usage
from streams.clock import Clock, SystemClock
from streams.errors import ConfigError
from streams.lms.demo import DemoAnswers, usage_of

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Latency = Literal["fixed", "normal", "exponential", "lognormal"]
LATENCIES: Final = ("fixed", "normal", "exponential", "lognormal")
RATES: Final = ("error_rate", "busy_rate", "garbage_rate", "hang_rate")
MODEL: Final = "demo"
HUGE_BYTES: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What the server does with a call. Rates are chances in 0..1, tried in order."""

    latency: Latency = "fixed"
    latency_ms: float = 0.0
    """The mean (of lognormal: the median)."""
    spread_ms: float = 0.0
    """Standard deviation of normal; lognormal has the p84 this far above its median."""
    hang_rate: float = 0.0
    """Never answered."""
    busy_rate: float = 0.0
    """429 with Retry-After."""
    retry_after_s: float = 1.0
    error_rate: float = 0.0
    """500."""
    garbage_rate: float = 0.0
    """A 200 that cannot be used: one kind of :data:`GARBAGE` after the other."""
    limit: int = 0
    """Calls at a time; more get 429. 0: no limit."""

    @classmethod
    def of(cls, changes: Mapping[str, Any], base: "Behaviour") -> "Behaviour":
        """Return *base* with *changes*.

        Raises:
            ConfigError: names or values that do not exist, all of them.
        """
        known = {f.name for f in fields(cls)}
        problems = [f"{name}: no such option" for name in changes.keys() - known]
        values = {k: v for k, v in changes.items() if k in known}
        problems += [
            f"{name}: {value!r} is not a number of at least 0"
            for name, value in values.items()
            if name != "latency" and not _is_amount(value)
        ]
        if values.get("latency", "fixed") not in LATENCIES:
            problems.append(f"latency: one of {', '.join(LATENCIES)}")
        if problems:
            raise ConfigError(problems)
        return replace(base, **values)

    def draw_s(self, chance: random.Random) -> float:
        """Return the latency of one call, in seconds."""
        match self.latency:
            case "normal":
                drawn_ms = chance.gauss(self.latency_ms, self.spread_ms)
            case "exponential":
                drawn_ms = chance.expovariate(1.0) * self.latency_ms
            case "lognormal":
                mean_ms = max(self.latency_ms, 1e-3)
                sigma = log((mean_ms + self.spread_ms) / mean_ms)
                drawn_ms = chance.lognormvariate(log(mean_ms), sigma)
            case _:
                drawn_ms = self.latency_ms
        return max(0.0, drawn_ms) / 1_000


class Answers(Protocol):
    """What the server says."""

    def answer(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return the completion for *messages*."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeLMOptions:
    """How to start the server."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 picks a free port, printed at start."""
    seed: int = 0
    """Decides every draw: the same calls in the same order fare the same."""
    log: Path | None = None
    """JSON lines, appended: one when a call is received, one when it is answered."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    answers: Answers = field(default_factory=DemoAnswers)


class CallLog:
    """Every call, twice: when it came and when it was answered.

    A line is written with one system call before the answer leaves, so that a reader
    who has an answer finds its line, and ``kill -9`` loses none.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = None if path is None else os.open(path, flags, 0o644)
        self._clock = clock
        self.counts: Counter[str] = Counter()
        """Lines by what happened: received, answered, abandoned."""

    def write(self, what: str, call: int, request_id: str, **facts: int) -> None:
        """Note that *what* happened to the *call*-th call, made for *request_id*."""
        self.counts[what] += 1
        if self._file is None:
            return
        line = {"event": what, "call": call, "request_id": request_id, **facts}
        line["at_ms"] = self._clock.now_ms()
        os.write(self._file, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class FakeLM:
    """The routes, and what they share."""

    def __init__(self, options: FakeLMOptions, clock: Clock) -> None:
        self.behaviour = options.behaviour
        self.log = CallLog(options.log, clock)
        self.in_flight = 0
        self.most_in_flight = 0
        self.stopping = asyncio.Event()
        self._chance = random.Random(options.seed)  # noqa: S311 - a dice, not a key
        self._answers = options.answers
        self._calls = 0
        self._garbage = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request."""
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                return await self._counted(request)
            case "GET", "/v1/models":
                models = [{"id": MODEL, "object": "model", "owned_by": "penstock"}]
                return _json({"object": "list", "data": models})
            case "GET", "/control":
                return _json(self._state())
            case "POST", "/control":
                return await self._control(request)
            case _:
                return _refusal(404, f"no route {request.path}")

    async def _counted(self, request: web.BaseRequest) -> web.StreamResponse:
        self._calls += 1
        call, request_id = self._calls, request.headers.get("X-Request-Id", "")
        self.log.write("received", call, request_id)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            response = await self._complete(request)
        finally:
            self.in_flight -= 1
        gone = request.transport is None or request.transport.is_closing()
        happened = "abandoned" if gone else "answered"
        self.log.write(happened, call, request_id, status=response.status)
        return response

    async def _complete(self, request: web.BaseRequest) -> web.StreamResponse:
        now = self.behaviour
        body = await request.content.read()
        latency_s = now.draw_s(self._chance)
        fate = self._fate(now)
        if fate == "busy":
            return _refusal(429, "come back later", {"Retry-After": _header(now)})
        if fate == "hang":
            await self.stopping.wait()
        elif latency_s:
            await asyncio.sleep(latency_s)
        if fate == "error":
            return _refusal(500, "the fake LM fails, as asked")
        if fate == "garbage":
            self._garbage += 1
            return await GARBAGE[self._garbage % len(GARBAGE)](request)
        return self._answer(body)

    def _answer(self, body: bytes) -> web.Response:
        try:
            asked = orjson.loads(body)
            messages = asked["messages"]
            text = self._answers.answer(messages)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            return _refusal(400, f"unreadable request: {type(error).__name__}")
        usage = usage_of(messages, text)
        return _json(completion(text, str(asked.get("model", MODEL)), usage))

    def _fate(self, now: Behaviour) -> str:
        if now.limit and self.in_flight > now.limit:
            return "busy"
        for fate in ("hang", "busy", "error", "garbage"):
            rate = getattr(now, f"{fate}_rate")
            if rate and self._chance.random() < rate:
                return fate
        return "answer"

    async def _control(self, request: web.BaseRequest) -> web.Response:
        try:
            changes = orjson.loads(await request.content.read())
            self.behaviour = Behaviour.of(changes, self.behaviour)
        except ConfigError as error:
            return _refusal(400, str(error))
        except (ValueError, AttributeError):
            return _refusal(400, "the body is no JSON object")
        return _json(self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "behaviour": asdict(self.behaviour),
            "calls": dict(self.log.counts),
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningFakeLM:
    """A server that runs in this event loop."""

    port: int
    lm: FakeLM
    runner: web.ServerRunner
    url: str
    """What a pipeline file calls ``api_base``."""

    async def stop(self) -> None:
        """Refuse connections from now on; calls in flight are cut off."""
        self.lm.stopping.set()
        await self.runner.cleanup()
        self.lm.log.close()


async def start(options: FakeLMOptions, clock: Clock | None = None) -> RunningFakeLM:
    """Start a server and return it, ready.

    Raises:
        OSError: the port is taken, or the log cannot be written.
    """
    lm = FakeLM(options, clock or SystemClock())
    server = web.Server(lm.handle, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, options.host, options.port, backlog=1_024).start()
    port = runner.addresses[0][1]
    url = f"http://{options.host}:{port}/v1"
    return RunningFakeLM(port=port, lm=lm, runner=runner, url=url)


async def serve(options: FakeLMOptions, stop: asyncio.Event) -> None:
    """Run a server until *stop* is set; say where it is."""
    running = await start(options)
    try:
        click.echo(f"fake LM on {running.url}")
        await stop.wait()
    finally:
        await running.stop()


def run_server(options: FakeLMOptions) -> None:
    """Run a server until SIGINT or SIGTERM: what ``penstock fake-lm`` does."""

    async def until_told() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        await serve(options, stop)

    asyncio.run(until_told())


def completion(text: str, model: str, usage: Usage) -> dict[str, Any]:
    """Return the body of a chat completion that says *text*."""
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
    }


async def _nothing(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"")


async def _no_json(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"<html>upstream says hello</html>")


async def _wrong_shape(_: web.BaseRequest) -> web.StreamResponse:
    return _json({"choices": []})


async def _prose(_: web.BaseRequest) -> web.StreamResponse:
    return _json(completion("As an AI model, I would rather not.", MODEL, Usage()))


async def _empty(_: web.BaseRequest) -> web.StreamResponse:
    return _json(completion("", MODEL, Usage()))


async def _cut_off(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"message": {"content": "[[ ## ')
    if request.transport is not None:
        request.transport.close()
    return response


async def _huge(_: web.BaseRequest) -> web.StreamResponse:
    return _json(completion("x" * HUGE_BYTES, MODEL, Usage()))


GARBAGE: Final[Sequence[Handler]] = (
    _nothing,
    _no_json,
    _wrong_shape,
    _prose,
    _empty,
    _cut_off,
    _huge,
)
"""Answers that no caller can use."""


def _json(body: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _refusal(
    status: int, message: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    body = orjson.dumps({"error": {"message": message, "type": "fake"}})
    return web.Response(
        status=status, body=body, headers=headers, content_type="application/json"
    )


def _header(now: Behaviour) -> str:
    return f"{now.retry_after_s:g}"


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
