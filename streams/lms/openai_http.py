"""Any server that speaks OpenAI's chat completions.

A call ends with an answer, with an error that the server stands for, or with its
cancellation: while the server cannot be reached the call waits (``outage.py``), because
an outage is not an answer.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from streams.clock import Clock
from streams.errors import ModelError, ModelRefusedError, ModelUnavailableError
from streams.lms.http_answer import GarbledAnswerError, HttpAnswer
from streams.lms.http_pool import (
    Address,
    CutOffError,
    HeldBackError,
    Pool,
    UnreachableError,
)
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
from streams.patience import PatientTimeout
from streams.stage import Answer, LMCall
from streams.versions import version_of

ANSWER_BYTES: Final = 4 * 1_048_576
"""Largest body that is read. Results must fit a record, a quarter of this."""

BLAME: Final = 3
"""A call cut off this often, while others get answers, is to blame itself."""


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

    @property
    def fingerprint(self) -> str:
        """Model and parameters, not the address: a server may move."""
        return version_of(self.model, self.model, self.params)


class OpenAILM:
    """One model behind one URL."""

    def __init__(
        self, name: str, endpoint: Endpoint, recorder: Recorder, clock: Clock
    ) -> None:
        self._name = name
        self._endpoint = endpoint
        self._clock = clock
        self._outage = Outage(name, recorder, clock, random.random)
        headers = {"Content-Type": "application/json", "User-Agent": "penstock"}
        if endpoint.key:
            headers["Authorization"] = f"Bearer {endpoint.key}"
        address = Address.of(endpoint.url, headers)
        self._pool = Pool(address, limit_bytes=ANSWER_BYTES)

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
        reply = await self._through_outages(stage, body, call)
        if reply.status != OK:
            raise self._error(stage, reply)
        try:
            return answer_of(reply.body)
        except UnreadableAnswerError as error:
            raise ModelUnavailableError(stage, self._name, str(error)) from error

    async def aclose(self) -> None:
        """Close connections; a later call opens new ones."""
        self._pool.close()

    async def _through_outages(
        self, stage: str, body: bytes, call: LMCall
    ) -> HttpAnswer:
        tries = cuts = 0
        answers, headers = self._outage.answers, _headers_of(call, body)
        while True:
            tries += 1
            try:
                reply = await self._post(stage, body, headers, call)
            except HeldBackError:
                pass
            except UnreachableError as error:
                await self._outage.wait(tries, error, down=True)
            except CutOffError as error:
                cuts += 1
                if cuts >= BLAME and self._outage.answers > answers:
                    reason = f"cut off {cuts} times while others got answers"
                    raise ModelUnavailableError(stage, self._name, reason) from error
                # One cut is what a server does to a connection that lay idle.
                await self._outage.wait(tries, error, down=cuts > 1)
            else:
                self._outage.over()
                return reply
            await call.may_begin()

    async def _post(
        self, stage: str, body: bytes, headers: bytes, call: LMCall
    ) -> HttpAnswer:
        timeout_s = self._endpoint.timeout_s
        try:
            async with PatientTimeout(timeout_s):
                return await self._pool.post(body, headers, permit=call.permit)
        except TimeoutError as error:
            reason = f"no answer within {timeout_s:g} s"
            raise ModelUnavailableError(stage, self._name, reason) from error
        except GarbledAnswerError as error:
            self._outage.over()
            raise ModelUnavailableError(stage, self._name, str(error)) from error

    def _error(self, stage: str, reply: HttpAnswer) -> ModelError:
        return error_of(
            stage,
            self._name,
            status=reply.status,
            retry_after=reply.headers.get("retry-after"),
            body=reply.body,
            now_ms=self._clock.now_ms(),
            secret=self._endpoint.key,
        )


def _headers_of(call: LMCall, body: bytes) -> bytes:
    if not call.request_id:
        return b""
    known_as = header_id(call.request_id).encode()
    # A run that another version of its pipeline takes up asks otherwise in the same
    # place: under the same key, a server may answer what the old one had asked.
    asked = sha256(body).hexdigest()[:16].encode()
    return b"X-Request-Id: %b\r\nIdempotency-Key: %b-%b\r\n" % (
        known_as,
        known_as,
        asked,
    )
