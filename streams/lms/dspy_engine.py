"""DSPy's LM on top of ours: whatever a DSPy program asks goes through the journal.

One engine is made for each call of a stage and knows its run. Nothing travels by
context variable, so nothing can reach the wrong request.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, response_to_events
from dspy.lm15 import Usage as Tokens

from schemas.records import Usage
from streams.errors import StreamsError
from streams.stage import LM, Answer, Calls, LMCall

PARAMS: Final = ("temperature", "max_tokens", "top_p", "seed")


class NotServedError(Exception):
    """A program asked in a way that the serving path does not offer."""


class CallsEngine:
    """The engine that DSPy plugs under a ``dspy.LM``, for one call of one stage."""

    def __init__(self, lm: LM, calls: Calls, request_id: str) -> None:
        self._lm = lm
        self._calls = calls
        self._request_id = request_id
        self.usage = Usage()
        """Of all answers so far."""
        self.failure: StreamsError | None = None
        """Our own error, before DSPy wrapped it into one of its own."""

    async def complete(self, request: Request) -> Response:
        """Answer one canonical request of DSPy."""
        call = LMCall(
            messages=messages_of(request),
            params=params_of(request),
            request_id=self._request_id,
        )
        try:
            answer = await self._calls.ask(self._lm, call)
        except StreamsError as error:
            self.failure = error
            raise
        self.usage = self.usage.plus(answer.usage)
        return response_of(request, answer)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        """Answer in one piece: token streams are not offered."""
        for event in response_to_events(await self.complete(request)):
            yield event


class NoSyncEngine:
    """What stands where DSPy wants a synchronous engine: serving never blocks."""

    def complete(self, request: Request) -> Response:
        raise NotServedError

    def stream(self, request: Request) -> Iterator[Any]:
        raise NotServedError


def bound_lm(engine: CallsEngine, name: str) -> dspy.LM:
    """Return a ``dspy.LM`` that asks through *engine* and does nothing by itself."""
    return dspy.LM(
        f"penstock/{name}",
        engine=NoSyncEngine(),
        async_engine=engine,
        cache=False,
        num_retries=0,
    )


def messages_of(request: Request) -> tuple[Mapping[str, Any], ...]:
    """Return the chat messages of *request*.

    Raises:
        NotServedError: a part of it is not text.
    """
    said = [(message.role, message.parts) for message in request.messages]
    if request.system is not None:
        said = [("system", request.system), *said]
    return tuple({"role": role, "content": _text(parts)} for role, parts in said)


def params_of(request: Request) -> Mapping[str, Any]:
    """Return the parameters that the program set for this call."""
    set_ = ((name, getattr(request.config, name, None)) for name in PARAMS)
    return {name: value for name, value in set_ if value is not None}


def response_of(request: Request, answer: Answer) -> Response:
    """Return *answer* in DSPy's form."""
    spent = answer.usage
    return Response(
        id=None,
        model=request.model,
        message=Message.assistant([TextPart(answer.text)]),
        finish_reason="stop",
        usage=Tokens(
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            total_tokens=spent.input_tokens + spent.output_tokens,
        ),
    )


def _text(parts: Any) -> str:  # noqa: ANN401 - text, or DSPy's parts
    if isinstance(parts, str):
        return parts
    if not all(isinstance(part, TextPart) for part in parts):
        raise NotServedError
    return "".join(part.text for part in parts)
