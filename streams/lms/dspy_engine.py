"""DSPy's LM on top of ours: whatever a DSPy program asks goes through the journal.

One engine is made for each call of a stage and knows its run. Nothing travels by
context variable, so nothing can reach the wrong request.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final, Protocol

import dspy
from dspy.lm15 import (
    ImagePart,
    Message,
    Request,
    Response,
    TextPart,
    response_to_events,
)
from dspy.lm15 import Usage as Tokens
from dspy.utils.exceptions import ContextWindowExceededError

from schemas.records import Usage
from streams.errors import ModelContextError, StreamsError
from streams.language.adapter_choice import AdapterName
from streams.stage import LM, Answer, Calls, LMCall

PARAMS: Final = ("temperature", "max_tokens", "top_p", "seed")
FORMAT: Final = "response_format"


class NotServedError(Exception):
    """A program asked in a way that the serving path does not offer."""


class CallsEngine:
    """The engine that DSPy plugs under a ``dspy.LM``, for one call of one stage."""

    supported_params = frozenset({FORMAT})
    """That DSPy may ask for JSON. Not by a schema: too few servers take any."""

    def __init__(self, lm: LM, calls: Calls) -> None:
        self._lm = lm
        self._calls = calls
        self.usage = Usage()
        """Of all answers so far."""
        self.failure: StreamsError | None = None
        """Our own error, before DSPy wrapped it into one of its own."""

    async def complete(self, request: Request) -> Response:
        """Answer one canonical request of DSPy."""
        call = LMCall(messages=messages_of(request), params=params_of(request))
        try:
            answer = await self._calls.ask(self._lm, call)
        except ModelContextError as error:
            # Programs that shorten what they ask wait for DSPy's own error.
            self.failure = error
            raise ContextWindowExceededError(message=str(error)) from error
        except StreamsError as error:
            self.failure = error
            raise
        self.usage = self.usage.plus(answer.usage)
        return response_of(request, answer)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        """Answer in one piece: token streams are not offered."""
        for event in response_to_events(await self.complete(request)):
            yield event


class SyncEngine(Protocol):
    """What DSPy plugs under a ``dspy.LM`` for programs that are not ``async``."""

    @property
    def supported_params(self) -> frozenset[str]: ...

    def complete(self, request: Request) -> Response: ...

    def stream(self, request: Request) -> Iterator[Any]: ...


class NoSyncEngine:
    """What stands there for programs on the event loop, which must never block it."""

    supported_params = CallsEngine.supported_params

    def complete(self, request: Request) -> Response:
        raise NotServedError

    def stream(self, request: Request) -> Iterator[Any]:
        raise NotServedError


def bound_lm(engine: CallsEngine, name: str, sync: SyncEngine | None = None) -> dspy.LM:
    """Return a ``dspy.LM`` that asks through *engine* and does nothing by itself."""
    return dspy.LM(
        f"penstock/{name}",
        engine=sync or NoSyncEngine(),
        async_engine=engine,
        cache=False,
        num_retries=0,
    )


def messages_of(request: Request) -> tuple[Mapping[str, Any], ...]:
    """Return the chat messages of *request*.

    Raises:
        NotServedError: a part of it is neither text nor an image.
    """
    said = [(message.role, message.parts) for message in request.messages]
    if request.system is not None:
        said = [("system", request.system), *said]
    return tuple({"role": role, "content": _content(parts)} for role, parts in said)


def params_of(request: Request) -> Mapping[str, Any]:
    """Return the parameters that the program set for this call."""
    set_ = {name: getattr(request.config, name, None) for name in PARAMS}
    set_[FORMAT] = _format_of(request.config.response_format)
    return {name: value for name, value in set_.items() if value is not None}


def params_for(adapter: AdapterName) -> Mapping[str, Any]:
    """Return the parameters that DSPy asks with for the sake of *adapter*."""
    return {FORMAT: {"type": "json_object"}} if adapter == "json" else {}


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


def _format_of(wanted: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return DSPy's response format in the words of OpenAI's protocol."""
    if wanted is None or wanted["type"] != "json_schema":
        return wanted
    schema = {name: value for name, value in wanted.items() if name != "type"}
    return {"type": "json_schema", "json_schema": {"name": "response", **schema}}


def _content(parts: Any) -> str | list[Any]:  # noqa: ANN401 - text, or DSPy's parts
    """Return text as text, and what has images in it as blocks of OpenAI's protocol."""
    if isinstance(parts, str):
        return parts
    if all(isinstance(part, TextPart) for part in parts):
        return "".join(part.text for part in parts)
    return [_block(part) for part in parts]


def _block(part: object) -> Mapping[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart(url=str(url)):
            return {"type": "image_url", "image_url": {"url": url}}
        case ImagePart(data=str(data)):
            url = f"data:{part.media_type};base64,{data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case _:
            raise NotServedError
