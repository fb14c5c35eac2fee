"""The OpenAI chat protocol as pure functions: bytes out, bytes in, errors sorted."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import orjson

from schemas.records import Usage
from streams.errors import (
    ModelBusyError,
    ModelContextError,
    ModelError,
    ModelRefusedError,
    ModelUnavailableError,
)
from streams.stage import Answer, LMCall

HEADER_CHARS: Final = 200
"""Longest request id that travels as it is; servers cut headers off at a few kB."""

REASON_CHARS: Final = 200
"""How much of a server's error message is passed on."""

FORMAT: Final = "response_format"

OK: Final = 200
TOO_MANY: Final = 429
SERVER_ERRORS: Final = 500

NOT_YET: Final = frozenset({408, 409, 425})
"""Refusals that may pass by themselves: timeout, conflict, too early."""


TOO_LONG_CODE: Final = "context_length_exceeded"
TOO_LONG_PHRASE: Final = "maximum context length"
"""Servers that speak the protocol have either the code or the words."""


class UnreadableAnswerError(Exception):
    """The body of an answer is not what the protocol promises."""


def body_of(model: str, params: Mapping[str, Any], call: LMCall) -> bytes:
    """Return the JSON body of a request; the call's parameters are before *params*.

    But for the format of the answer: only who describes an LM knows which ones its
    server takes.

    Raises:
        TypeError: a text cannot be written as UTF-8.
    """
    asked = {**params, **call.params}
    if FORMAT in params:
        asked[FORMAT] = params[FORMAT]
    return orjson.dumps({"model": model, **asked, "messages": call.messages})


def header_id(request_id: str) -> str:
    """Return *request_id* as a header may carry it: short, printable, ASCII.

    Two ids that differ stay different.
    """
    if not (request_id.isascii() and request_id.isprintable()):
        request_id = quote(request_id, safe="/:@ ", errors="replace")
    if len(request_id) <= HEADER_CHARS:
        return request_id
    digest = sha256(request_id.encode()).hexdigest()[:32]
    return f"{request_id[: HEADER_CHARS - 33]}-{digest}"


def answer_of(body: bytes) -> Answer:
    """Return the answer in the *body* of a 200.

    Raises:
        UnreadableAnswerError: it is no chat completion.
    """
    try:
        said = orjson.loads(body)
        message = said["choices"][0]["message"]
        text = _text(message["content"])
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        reason = f"{type(error).__name__} in a body of {len(body)} bytes"
        raise UnreadableAnswerError(reason) from error
    return Answer(text=text, usage=_usage(said.get("usage")))


def error_of(  # noqa: PLR0913 - all facts of one refusal, each needed for its error
    stage: str,
    lm: str,
    *,
    status: int,
    retry_after: str | None,
    body: bytes,
    now_ms: int,
    secret: str = "",
) -> ModelError:
    """Return the error that a *status* other than 200 stands for.

    *secret* never appears in its text: servers like to quote a wrong key.
    """
    code, message = _complaint(body)
    reason = f"status {status}{': ' if message else ''}{message}"
    reason = reason.replace(secret, "***") if secret else reason
    if status == TOO_MANY and code != "insufficient_quota":
        return ModelBusyError(stage, lm, reason, retry_after_s(retry_after, now_ms))
    if status >= SERVER_ERRORS or status in NOT_YET:
        return ModelUnavailableError(stage, lm, reason)
    if code == TOO_LONG_CODE or TOO_LONG_PHRASE in message:
        return ModelContextError(stage, lm, reason)
    return ModelRefusedError(stage, lm, reason)


def retry_after_s(value: str | None, now_ms: int) -> float | None:
    """Read a Retry-After header, seconds or a date; None if it says nothing."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now_ms)
    # Not a number, not in the past, and not for ever.
    return max(0.0, seconds) if abs(seconds) < 1e9 else None  # noqa: PLR2004 - 31 years


def _seconds_until(date: str, now_ms: int) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - now_ms / 1_000
    except (ValueError, TypeError, OverflowError):
        return float("nan")


def _text(content: object) -> str:
    if content is None:
        return ""  # a refusal, or tool calls nobody asked for: paid, and no text
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    raise TypeError


def _usage(stated: object) -> Usage:
    said = stated if isinstance(stated, dict) else {}
    return Usage(
        calls=1,
        input_tokens=_tokens(said.get("prompt_tokens")),
        output_tokens=_tokens(said.get("completion_tokens")),
    )


def _tokens(stated: object) -> int:
    return stated if type(stated) is int and stated > 0 else 0


def _complaint(body: bytes) -> tuple[str, str]:
    try:
        error = orjson.loads(body)["error"]
        error = error if isinstance(error, dict) else {"message": error}
    except (ValueError, TypeError, LookupError):
        return "", ""
    code = error.get("code") or error.get("type") or ""
    return str(code), " ".join(str(error.get("message") or code).split())[:REASON_CHARS]
