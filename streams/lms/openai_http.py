"""Any server that speaks OpenAI's chat completions, over aiohttp.

One session per LM, opened on the loop that asks first. A call ends with an answer, an
error that the server stands for, or cancellation: while the server cannot be reached
at all the call waits (``outage.py``), because an outage is not an answer.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import aiohttp
import orjson

from streams.clock import Clock
from streams.errors import ModelError, ModelRefusedError, ModelUnavailableError
from streams.lms.openai_wire import (
    OK,
    UnreadableAnswerError,
    answer_of,
    body_of,
    error_of,
    header_id,
)
from streams.lms.outage import Outage
from streams.metrics import Recorder
from streams.stage import Answer, LMCall

CONNECT_S: Final = 5.0
"""Longest wait for a connection; a host that drops packets is as good as down."""

ANSWER_BYTES: Final = 4 * 1_048_576
"""Largest body that is read. Results must fit a record, a quarter of this."""

BLAME: Final = 3
"""A call cut off this often, while others get answers, is to blame itself."""

REFUSED: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
)
CUT_OFF: Final = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientOSError,
    aiohttp.ClientConnectionResetError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an LM is and how it is asked."""

    url: str
    """Of the chat completions, complete."""
    model: str
    """The model's name on the server."""
    key: str = field(default="", repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    """Sent with every call: temperature, max_tokens and their like."""
    timeout_s: float = 120.0
    """Longest wait for an answer once connected."""
    connections: int = 64

    @property
    def fingerprint(self) -> str:
        """Model and parameters, not the address: a server may move."""
        asked = orjson.dumps([self.model, self.params], option=orjson.OPT_SORT_KEYS)
        return f"{self.model}@{sha256(asked).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    retry_after: str | None
    body: bytes


class OpenAILM:
    """One model behind one URL."""

    def __init__(
        self, name: str, endpoint: Endpoint, recorder: Recorder, clock: Clock
    ) -> None:
        self._name = name
        self._endpoint = endpoint
        self._clock = clock
        self._outage = Outage(name, recorder, clock, random.random)
        self._session: aiohttp.ClientSession | None = None
        self._headers = {"Content-Type": "application/json"}
        if endpoint.key:
            self._headers["Authorization"] = f"Bearer {endpoint.key}"

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        return self._endpoint.fingerprint

    def available(self) -> bool:
        return self._outage.available()

    async def complete(self, stage: str, call: LMCall) -> Answer:
        """Ask the server; see :class:`streams.stage.LM` for errors."""
        try:
            body = body_of(self._endpoint.model, self._endpoint.params, call)
        except TypeError as error:
            raise ModelRefusedError(stage, self._name, str(error)) from error
        reply = await self._through_outages(stage, body, self._headers_of(call))
        if reply.status != OK:
            raise self._error(stage, reply)
        try:
            return answer_of(reply.body)
        except UnreadableAnswerError as error:
            raise ModelUnavailableError(stage, self._name, str(error)) from error

    async def aclose(self) -> None:
        """Close connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _through_outages(
        self, stage: str, body: bytes, headers: Mapping[str, str]
    ) -> _Reply:
        tries = cuts = 0
        answers = self._outage.answers
        while True:
            tries += 1
            try:
                reply = await self._post(body, headers)
            except REFUSED as error:
                await self._outage.wait(tries, error, down=True)
            except CUT_OFF as error:
                cuts += 1
                if cuts >= BLAME and self._outage.answers > answers:
                    reason = f"cut off {cuts} times while others got answers"
                    raise ModelUnavailableError(stage, self._name, reason) from error
                # One cut is what a server does to a connection that lay idle.
                await self._outage.wait(tries, error, down=cuts > 1)
            except TimeoutError as error:
                reason = f"no answer within {self._endpoint.timeout_s:g} s"
                raise ModelUnavailableError(stage, self._name, reason) from error
            except (aiohttp.ClientError, UnreadableAnswerError) as error:
                self._outage.over()
                reason = f"{type(error).__name__}: {error}"
                raise ModelUnavailableError(stage, self._name, reason) from error
            else:
                self._outage.over()
                return reply

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> _Reply:
        session = self._session or self._open()
        async with session.post(
            self._endpoint.url, data=body, headers=headers, allow_redirects=False
        ) as response:
            try:
                payload = await _read(response)
            except aiohttp.ClientOSError as error:
                # The answer had begun: it was an answer, and it is broken.
                raise UnreadableAnswerError(str(error)) from error
            return _Reply(response.status, response.headers.get("Retry-After"), payload)

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._endpoint.connections),
            timeout=aiohttp.ClientTimeout(
                total=self._endpoint.timeout_s, sock_connect=CONNECT_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )
        return self._session

    def _headers_of(self, call: LMCall) -> Mapping[str, str]:
        if not call.request_id:
            return self._headers
        known_as = header_id(call.request_id)
        return {
            **self._headers,
            "X-Request-Id": known_as,
            "Idempotency-Key": known_as,
        }

    def _error(self, stage: str, reply: _Reply) -> ModelError:
        return error_of(
            stage,
            self._name,
            status=reply.status,
            retry_after=reply.retry_after,
            body=reply.body,
            now_ms=self._clock.now_ms(),
            secret=self._endpoint.key,
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body.

    Raises:
        UnreadableAnswerError: it is larger than anybody asked for.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES:
            response.close()
            reason = f"the answer is larger than {ANSWER_BYTES} bytes"
            raise UnreadableAnswerError(reason)
    return bytes(body)
