"""``http``: ask a server, and take the outputs from its JSON.

A server may be asked again: after a crash, and by another attempt. So a POST carries an
``Idempotency-Key``, the same each time: ``<request>/<path of the stage in its run>``.

What is not done, so that a request goes where the file says and nowhere else: no
redirects, cookies, proxies or compression.
"""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from streams.calls import NO_USAGE
from streams.errors import (
    HttpAnswerError,
    HttpBusyError,
    HttpError,
    HttpStatusError,
    HttpUnreachableError,
    OptionsError,
    StageInputError,
)
from streams.language.problems import meant
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.lms.openai_wire import NOT_YET, SERVER_ERRORS, TOO_MANY, retry_after_s
from streams.lms.openai_wire import header_id as as_header
from streams.stage import Fields, RunContext, StageOutcome
from streams.stages.http_answer import Taking, UselessBodyError
from streams.stages.http_request import JSON, Asking, Request, UnsendableError, asking
from streams.stages.template_checks import NO_INPUT
from streams.versions import version_of

METHODS: Final = ("GET", "POST")

ANSWER_BYTES: Final = 1_048_576
"""Largest body that is read: no larger record is published."""

CONNECT_S: Final = 5.0
"""Longest wait for a connection; a host that drops packets is as good as down."""

SILENCE_S: Final = 60.0
"""Longest wait for the next byte, where no `timeout` ends it before."""

CONNECTIONS: Final = 100
"""Open at a time per stage and worker; further requests wait for one."""


NO_HTTP: Final = "its answer is no HTTP"
TOO_LARGE: Final = f"its answer has more than {ANSWER_BYTES} bytes"


class HttpStage:
    """One request per call, over kept connections. Opens them when first called."""

    def __init__(self, spec: StageSpec, version: str, ask: Asking) -> None:
        self.name = spec.name
        self.version = version
        self._ask = ask
        self._taking = Taking.of(spec)
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        try:
            request = self._ask.request(fields)
        except UnsendableError as error:
            raise StageInputError(self.name, str(error)) from error
        body = await self._answer(request, run)
        return StageOutcome(outputs=self._read(body), usage=NO_USAGE)

    async def aclose(self) -> None:
        """Close connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _answer(self, request: Request, run: RunContext) -> bytes:
        headers = {}
        if self._ask.method == "POST":
            key = f"{run.request_id}/{run.path or self.name}"
            headers["Idempotency-Key"] = as_header(key)
        if request.body is not None and "Content-Type" not in self._ask.headers:
            headers["Content-Type"] = JSON
        try:
            async with self._opened().request(
                self._ask.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                self._check(response, run)
                return await self._body(response)
        except aiohttp.ClientResponseError as error:
            # No status of the server's: its answer is no HTTP.
            raise self._broken(NO_HTTP) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # By its type: the words of some errors have the whole address in them.
            reason = type(error).__name__
            raise HttpUnreachableError(self.name, self._ask.origin, reason) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                headers=self._ask.headers,
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                # A cookie of one request would travel with those of others.
                cookie_jar=aiohttp.DummyCookieJar(),
                # What a few bytes unpack to has no bound.
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S
                ),
            )
        return self._session

    def _check(self, response: aiohttp.ClientResponse, run: RunContext) -> None:
        status, origin = response.status, self._ask.origin
        if status == TOO_MANY or status >= SERVER_ERRORS or status in NOT_YET:
            said = response.headers.get("Retry-After")
            wait_s = retry_after_s(said, run.clock.now_ms())
            raise HttpBusyError(self.name, origin, status, wait_s)
        if not response.ok or response.status in range(300, 400):
            raise HttpStatusError(self.name, origin, status)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > ANSWER_BYTES:
                raise self._broken(TOO_LARGE)
        return bytes(body)

    def _read(self, body: bytes) -> Mapping[str, Any]:
        try:
            return self._taking.outputs(body)
        except UselessBodyError as error:
            raise self._broken(str(error)) from error

    def _broken(self, reason: str) -> HttpError:
        return HttpAnswerError(self.name, self._ask.origin, reason)


def read_http(section: Section) -> Mapping[str, Any]:
    """Return the options of an entry: what is asked, and where the answer has it."""
    method = section.text("method") or "GET"
    if method not in METHODS:
        section.wrong("method", f"is none that is known; {meant(method, METHODS)}")
    if method == "GET" and section.has("body"):
        section.wrong_key("body", "is for `method: POST`")
    headers = section.sub("headers")
    at = section.text("at")
    return {
        "url": section.text("url", needed=True) or "",
        "method": method,
        "headers": {
            name: headers.text(name, needed=True) or "" for name in headers.values
        },
        "body": section.text("body"),
        "at": tuple(at.split(".")) if at else (),
    }


def build_http(spec: StageSpec, shop: Workshop) -> HttpStage:
    """Return the stage that asks a server of *shop*'s web.

    Raises:
        OptionsError: with everything that is wrong with its keys.
    """
    return HttpStage(spec, _version(spec), asking(spec, shop.web))


def unasked(spec: StageSpec, shop: Workshop) -> list[str]:
    """Return what is wrong with how *spec* asks, whatever its inputs are called."""
    try:
        asking(spec, shop.web)
    except OptionsError as error:
        return [problem for problem in error.problems if NO_INPUT not in problem]
    return []


def _version(spec: StageSpec) -> str:
    # Headers as the file has them: of secrets only the names.
    fields = [[f.name, str(f.type)] for f in (*spec.inputs, *spec.outputs)]
    return version_of("http", spec.options, fields)
