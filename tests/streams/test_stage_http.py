"""Http stages ask the servers that the operator allows, and nothing else."""

import asyncio
import gc
import socket
from contextlib import asynccontextmanager

import pytest
from aiohttp import web as server

from schemas.records import Usage
from streams.catalog import toolbox
from streams.clock import ManualClock
from streams.config import Settings
from streams.errors import (
    HttpAnswerError,
    HttpBusyError,
    HttpStatusError,
    HttpUnreachableError,
    StageInputError,
)
from streams.language.web import Web
from streams.metrics import NullRecorder
from streams.pipeline import compile_text
from streams.running.run import run
from streams.stage import Connected, RunContext
from streams.stages.http import ANSWER_BYTES
from tests.streams.native import RUN, made, outputs, problems_of

SECRET = {"PENSTOCK_SECRET_WEATHER": "s3cret", "PENSTOCK_SECRET_ODD": "a\nb"}


class Town:
    """A server that answers what it is told to, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.answers = []
        self.port = 0

    async def handle(self, request):
        body = await request.text()
        self.asked.append((request.method, request.raw_path, request.headers, body))
        answer = self.answers.pop(0) if self.answers else {"degrees": 21, "sky": "blue"}
        if callable(answer):
            return await answer(request)
        if isinstance(answer, server.Response):
            return answer
        return server.json_response(answer)

    def stage(
        self, rest="", *, signature="city: str -> w: dict[str, int | str]", url=""
    ):
        """Return a stage that asks this server; closed with the town."""
        where = (
            f"http://127.0.0.1:{self.port}{url or '/v1?city={{ city | urlencode }}'}"
        )
        entry = f"http: \"{signature}\"\nurl: '{where}'\n{rest}"
        stage = made(entry, web=self.web)
        self.stages.append(stage)
        return stage

    @property
    def web(self):
        """What a worker would allow."""
        settings = Settings(http_hosts=f"api.example.org, 127.0.0.1:{self.port},")
        return Web.of(settings, SECRET | {"OTHER": "not for stages"})

    @property
    def stages(self):
        """Those that are to be closed."""
        return self.__dict__.setdefault("_stages", [])


@asynccontextmanager
async def opened():
    town = Town()
    app = server.Application(client_max_size=2**24)
    app.router.add_route("*", "/{tail:.*}", town.handle)
    runner = server.AppRunner(app)
    await runner.setup()
    site = server.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    town.port = runner.addresses[0][1]
    try:
        yield town
    finally:
        for stage in town.stages:
            await stage.aclose()
        await runner.cleanup()


@pytest.fixture
async def town():
    async with opened() as found:
        yield found


async def test_one_output_is_the_whole_answer(town):
    stage = town.stage()
    found = await outputs(stage, city="Bad Ischl&x=1")
    assert found == {"w": {"degrees": 21, "sky": "blue"}}
    ((method, path, headers, body),) = town.asked
    assert (method, path, body) == ("GET", "/v1?city=Bad%20Ischl%26x%3D1", "")
    assert headers["User-Agent"] == "penstock"
    assert "Idempotency-Key" not in headers


async def test_a_place_in_the_answer_may_be_named(town):
    town.answers.append({"days": [{"degrees": 3}]})
    stage = town.stage("at: days.0.degrees", signature="city -> degrees: int")
    assert await outputs(stage, city="x") == {"degrees": 3}


async def test_several_outputs_are_found_by_their_names(town):
    stage = town.stage(signature="city: str -> degrees: int, sky: str")
    found = await outputs(stage, city="x")
    assert (found["degrees"], found["sky"]) == (21, "blue")


async def test_a_text_is_the_answer_as_it_is(town):
    town.answers.append(server.Response(text="grüß Gott"))
    stage = town.stage(signature="city: str -> said: str")
    assert await outputs(stage, city="x") == {"said": "grüß Gott"}


async def test_a_post_sends_all_inputs_as_json_and_a_key(town):
    stage = town.stage(
        "method: POST", url="/v1", signature="city: str, day: date -> w: dict[str, int]"
    )
    await outputs(stage, city="x", day="2026-02-28")
    run = RunContext(
        request_id="r1", clock=ManualClock(), calls=None, path="map.1/17/s"
    )
    await outputs(stage, run, city="é", day=None)
    (_, _, first, body), (_, _, second, _) = town.asked
    assert body == '{"city":"x","day":"2026-02-28"}'
    assert first["Content-Type"] == "application/json"
    assert first["Idempotency-Key"] == "r1/s"
    assert second["Idempotency-Key"] == "r1/map.1/17/s"


async def test_a_post_may_have_a_body_of_its_own(town):
    stage = town.stage("method: POST\nbody: '{\"q\": {{ city | tojson }}}'", url="/v1")
    await outputs(stage, city='"}, x')
    plain = town.stage(
        "method: POST\nbody: 'q={{ city }}'\nheaders: {content-type: text/plain}",
        url="/v1",
    )
    await outputs(plain, city="x y")
    assert [body for *_, body in town.asked] == ['{"q": "\\"}, x"}', "q=x y"]
    assert town.asked[1][2]["Content-Type"] == "text/plain"


async def test_secrets_are_sent_and_shown_nowhere(town):
    stage = town.stage("headers: {authorization: 'Bearer ${PENSTOCK_SECRET_WEATHER}'}")
    town.answers.append(server.Response(status=401, text="wrong key s3cret"))
    with pytest.raises(HttpStatusError) as caught:
        await outputs(stage, city="x")
    assert town.asked[0][2]["Authorization"] == "Bearer s3cret"
    shown = [stage.version, repr(town.web), str(caught.value), repr(stage._ask)]  # noqa: SLF001 - what a debugger shows
    assert not [text for text in shown if "s3cret" in text]
    other = made(
        f"http: 'city: str -> w: dict[str, int | str]'\n"
        f"url: 'http://127.0.0.1:{town.port}/v1?city={{{{ city | urlencode }}}}'\n"
        "headers: {authorization: 'Bearer ${PENSTOCK_SECRET_WEATHER}'}",
        web=Web(hosts=town.web.hosts, secrets={"PENSTOCK_SECRET_WEATHER": "another"}),
    )
    assert other.version == stage.version


@pytest.mark.parametrize("status", [429, 500, 503, 408])
async def test_a_server_that_cannot_answer_now_may_be_asked_again(town, status):
    town.answers.append(server.Response(status=status, headers={"Retry-After": "7"}))
    with pytest.raises(HttpBusyError) as caught:
        await outputs(town.stage(), city="secret")
    assert (caught.value.code, caught.value.retryable) == ("http.busy", True)
    assert caught.value.retry_after_s == 7.0
    assert str(caught.value) == f"s: http://127.0.0.1:{town.port}: status {status}"


@pytest.mark.parametrize("status", [301, 307, 400, 404, 422])
async def test_any_other_status_is_final_and_redirects_are_not_followed(town, status):
    headers = {"Location": "http://example.org/elsewhere"}
    town.answers.append(server.Response(status=status, headers=headers))
    with pytest.raises(HttpStatusError) as caught:
        await outputs(town.stage(), city="secret")
    assert (caught.value.status, caught.value.retryable) == (status, False)
    assert len(town.asked) == 1


@pytest.mark.parametrize(
    ("answer", "rest", "signature", "reason"),
    [
        ("no json", "", "city -> w: int", "its answer is no JSON"),
        (b"\xff", "", "city -> w: str", "its answer is no UTF-8"),
        ("[1]", "", "city -> a: int, b: int", "its answer is no object"),
        ("[1]", "at: '1'", "city -> w: int", "its answer has nothing at 1"),
        ("{}", "at: a.b", "city -> w: int", "its answer has nothing at a"),
        ("3", "at: a", "city -> w: int", "its answer has nothing at a"),
        (b"1" * (ANSWER_BYTES + 1), "", "city -> w: str", "its answer has more than"),
    ],
)
async def test_an_answer_that_is_of_no_use_says_why(
    town, answer, rest, signature, reason
):
    body = answer if isinstance(answer, bytes) else answer.encode()
    town.answers.append(server.Response(body=body))
    with pytest.raises(HttpAnswerError, match=reason) as caught:
        await outputs(town.stage(rest, signature=signature), city="x")
    assert (caught.value.code, caught.value.retryable) == ("http.answer", True)


async def test_an_answer_that_is_packed_is_not_unpacked(town):
    async def packed(_request):
        answer = server.Response(text="1" * 100_000)
        answer.enable_compression(server.ContentCoding.gzip)
        return answer

    town.answers.append(packed)
    with pytest.raises(HttpAnswerError, match="no JSON"):
        await outputs(town.stage(signature="city -> w: int"), city="x")


async def test_a_server_that_hangs_up_is_unreachable(town):
    async def hang_up(request):
        request.transport.abort()
        return server.Response()

    town.answers.append(hang_up)
    with pytest.raises(HttpUnreachableError) as caught:
        await outputs(town.stage("method: POST"), city="secret")
    assert (caught.value.code, caught.value.retryable) == ("http.unreachable", True)
    assert "secret" not in str(caught.value)


async def test_a_server_that_is_not_there_is_unreachable(town):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        stage = made(
            f"{{http: 'city -> w: int', url: 'http://127.0.0.1:{port}/'}}",
            web=Web(hosts=(f"127.0.0.1:{port}",)),
        )
        town.stages.append(stage)
        with pytest.raises(HttpUnreachableError, match="ClientConnectorError"):
            await outputs(stage, city="x")


async def test_what_speaks_no_http_gives_no_answer(town):
    async def babble(_reader, writer):
        writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        stage = made(
            f"{{http: 'city -> w: int', url: 'http://127.0.0.1:{port}/'}}",
            web=Web(hosts=(f"127.0.0.1:{port}",)),
        )
        town.stages.append(stage)
        with pytest.raises(HttpAnswerError, match="no HTTP"):
            await outputs(stage, city="x")


@pytest.mark.parametrize(
    ("url", "city", "reason"),
    [
        ("/v1/{{ city | urlencode }}/now", "..", "leads elsewhere"),
        ("/v1/{{ city | urlencode }}", ".", "leads elsewhere"),
        ("/v1/{{ city | urlencode }}", "../../admin", "leads elsewhere"),
        ("/v1/{{ city | urlencode }}", "..\\admin", "leads elsewhere"),
        ("/v1?city={{ city | urlencode }}", "x" * 9_000, "more than 8000 characters"),
        ("/v1?city={{ city.name | urlencode }}", "x", "line 1: UndefinedError"),
    ],
)
async def test_inputs_that_no_request_can_be_made_of(town, url, city, reason):
    with pytest.raises(StageInputError, match=reason):
        await outputs(town.stage(url=url), city=city)
    assert town.asked == []


async def test_a_body_that_must_be_json_is_not_sent_if_it_is_none(town):
    stage = town.stage("method: POST\nbody: '{{ city | tojson }}]'", url="/v1")
    with pytest.raises(StageInputError, match="the body is no JSON"):
        await outputs(stage, city="x")
    assert town.asked == []


async def test_no_cookie_of_one_request_travels_with_another(town):
    town.answers.append(
        server.Response(text="{}", headers={"Set-Cookie": "session=1; Path=/"})
    )
    stage = town.stage()
    await outputs(stage, city="x")
    await outputs(stage, city="y")
    assert "Cookie" not in town.asked[1][2]


async def test_connections_are_kept_and_closed_and_opened_again(town):
    stage = town.stage()
    assert isinstance(stage, Connected)
    await stage.aclose()
    for _ in range(2):
        await outputs(stage, city="x")
        await stage.aclose()
        gc.collect()  # an open session would complain
    assert len(town.asked) == 2


async def test_a_stage_that_is_cancelled_leaves_no_request_behind(town):
    began, never = asyncio.Event(), asyncio.Event()

    async def hang(_request):
        began.set()
        await never.wait()
        return server.Response()

    town.answers.append(hang)
    call = asyncio.create_task(outputs(town.stage(), city="x"))
    await began.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    never.set()
    assert await outputs(town.stages[0], city="x")


async def test_it_costs_nothing(town):
    outcome = await town.stage()({"city": "x"}, RUN)
    assert outcome.usage == Usage()


PIPELINE = """
pipeline: desk
version: 1
input: "ticket: str"
output: "degrees: int"
stages:
  weather: {http: "ticket -> degrees: int", url: "URL", method: POST, attempts: 2}
flow: [weather]
"""


async def test_a_pipeline_asks_again_when_the_server_said_and_closes(town, bench):
    tools = toolbox(
        Settings(http_hosts=f"127.0.0.1:{town.port}"), {}, NullRecorder(), bench.clock
    )
    text = PIPELINE.replace("URL", f"http://127.0.0.1:{town.port}/v1")
    pipeline = compile_text(text, "desk.yaml", tools)
    began_s = bench.clock.monotonic_s()
    town.answers += [
        server.Response(status=429, headers={"Retry-After": "7"}),
        server.json_response(21),
    ]
    end = await run(pipeline, bench.request(), bench.start())
    assert (end.result.status, end.result.outputs) == ("OK", {"degrees": 21})
    assert bench.clock.monotonic_s() - began_s == 7.0
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in town.asked]
    assert keys == ["r1/weather", "r1/weather"]
    await pipeline.aclose()
    gc.collect()  # an open session would complain


HOST = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        ("{http: 'x -> y'}", ["url: is missing"]),
        ("{http: 'x -> y', url: 'ftp://h/'}", ["url: must begin with http:// or htt"]),
        ("{http: 'x -> y', url: 'http:///a'}", ["url: must begin with http:// or ht"]),
        ("{http: 'x -> y', url: 'http://h:x/'}", ["url: must begin with http:// or"]),
        ("{http: 'x -> y', url: 'http://[/'}", ["url: is no address"]),
        (
            "{http: 'x -> y', url: \"http://127.0.\\n0.1:1/\"}",
            ["url: is no address"],
        ),
        (
            "{http: 'x -> y', url: 'http://127.0.0.1:1/?k=${PENSTOCK_SECRET_KEY}'}",
            ["url: shows no secrets: send them in a header"],
        ),
        (
            "{http: 'x -> y', url: 'http://127.0.0.1:1/', headers: {X: '{{ x }}'}}",
            ["headers.X: is sent as it is: no input can stand in it"],
        ),
        (
            "{http: 'x -> y', url: 'http://other.org/'}",
            ["url: other.org is not allowed; PENSTOCK_HTTP_HOSTS allows 127.0.0.1:1"],
        ),
        (
            "{http: 'x -> y', url: 'https://api.example.org:8443/'}",
            ["url: api.example.org:8443 is not allowed; "],
        ),
        (
            "{http: 'x -> y', url: 'https://api.example.org@other.org/'}",
            ["url: has a name or a password: send it in a header"],
        ),
        (
            "{http: 'x -> y', url: 'https://api.example.org.{{ x | urlencode }}/'}",
            ["url: an input cannot say which server is asked"],
        ),
        (
            "{http: 'x -> y', url: '{{ x | urlencode }}'}",
            ["url: an input cannot say which server is asked"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}/#{{{{ x | urlencode }}}}'}}",
            ["url: has a fragment, which no server sees"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}/{{{{ x }}}}'}}",
            ["url: column 1: what is written here must end in `| urlencode`"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}/{{{{ z | urlencode }}}}'}}",
            ["url: column 23: no input is called z; known: x"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}', method: PUT}}",
            ["method: is none that is known; known: GET, POST"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}', body: a}}",
            ["body: is for `method: POST`"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}', method: POST, body: '{{{{ x }}}}'}}",
            ["body: column 1: what is written here must end in `| tojson`"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}', at: [a]}}",
            ["at: must be text, and not empty"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}', headers: {{a: }}}}",
            ["headers.a: is missing"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}', headers: {{Host: x, 'a b': c}}}}",
            [
                "headers.Host: is no header that a file can set",
                "headers.a b: is no header that a file can set",
            ],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}', headers: {{a: 'é'}}}}",
            ["headers.a: must be printable ASCII"],
        ),
        (
            f"{{http: 'x -> y', url: '{HOST}', headers: {{a: '${{OTHER}}'}}}}",
            ["headers.a: OTHER is no secret: only PENSTOCK_SECRET_… may stand here"],
        ),
        (
            """
            http: 'x -> y'
            url: 'http://127.0.0.1:1'
            headers: {a: '${PENSTOCK_SECRET_NONE} ${PENSTOCK_SECRET_ODD}'}
            """,
            [
                "headers.a: PENSTOCK_SECRET_NONE is not set",
                "headers.a: PENSTOCK_SECRET_ODD has characters that no header can",
            ],
        ),
    ],
)
def test_every_mistake_has_its_path(entry, problems):
    settings = Settings(http_hosts="127.0.0.1:1,api.example.org")
    found = problems_of(entry, web=Web.of(settings, SECRET))
    assert len(found) == len(problems), found
    for problem, beginning in zip(found, problems, strict=True):
        assert problem.startswith(beginning)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.org",
        "https://API.example.org/v1?a=b",
        "https://api.example.org:443/{{ x | urlencode }}",
        "http://127.0.0.1:1?q={{ x | urlencode }}",
    ],
)
def test_what_is_allowed_is_host_and_port(url):
    settings = Settings(http_hosts="127.0.0.1:1,api.example.org")
    entry = f"{{http: 'x -> y', url: '{url}'}}"
    assert problems_of(entry, web=Web.of(settings, {})) == []


def test_nothing_is_allowed_unless_somebody_says_so():
    entry = "{http: 'x -> y', url: 'http://127.0.0.1/'}"
    (problem,) = problems_of(entry)
    assert problem.endswith("PENSTOCK_HTTP_HOSTS allows none")


def test_the_version_changes_with_what_is_asked_and_taken():
    def version(rest, signature="x -> y: int"):
        entry = f"{{http: '{signature}', url: '{HOST}/', {rest}}}"
        return made(entry, web=Web(hosts=("127.0.0.1:1",))).version

    versions = {
        version("method: GET"),
        version("method: POST"),
        version("method: POST, body: '1'"),
        version("at: a"),
        version("headers: {a: b}"),
        version("method: GET", "x -> y: str"),
    }
    assert len(versions) == 6
    assert version("at: a").startswith("http@")
