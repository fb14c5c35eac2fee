"""What an `http` stage sends: its address, headers and body, checked beforehand.

Inputs are written into an address only with ``| urlencode``, and into JSON only with
``| tojson``: so no value can become a part of either that the file did not mean.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

import orjson

from streams.errors import ConfigError, OptionsError
from streams.json_form import json_value
from streams.language.stage_spec import StageSpec
from streams.language.web import Web
from streams.stages.template_checks import TemplateTextError, unfiltered
from streams.stages.template_text import RenderError, TemplateText

Method = Literal["GET", "POST"]

MAX_ADDRESS: Final = 8_000
"""Characters; servers refuse longer ones."""

JSON: Final = "application/json"

OURS: Final = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "cookie", "expect"),
        *("host", "idempotency-key", "transfer-encoding", "upgrade"),
    }
)
"""Headers that a file cannot set: they are ours, or the connection's."""

_MARKUP: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# What is a delimiter already, or encoded, stays as it is.
_KEPT: Final = "%/:?#[]@!$&'()*+,;=~-._"


class UnsendableError(Exception):
    """No request can be made of these inputs. Quotes none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, complete but for its `Idempotency-Key`."""

    url: str
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How requests are made of inputs."""

    method: Method
    origin: str
    """Scheme, host and port: the same for all requests."""
    address: TemplateText
    headers: Mapping[str, str] = field(repr=False)
    """With their secrets."""
    body: TemplateText | None
    """None for a GET, and for a POST of all inputs as JSON."""
    is_json: bool

    def request(self, fields: Mapping[str, Any]) -> Request:
        """Return the request for *fields*.

        Raises:
            UnsendableError: there is none.
        """
        try:
            url = quote(self.address.render(fields).strip(), safe=_KEPT)
            return Request(url=_safe(url), body=self._body(fields))
        except RenderError as error:
            raise UnsendableError(str(error)) from error

    def _body(self, fields: Mapping[str, Any]) -> bytes | None:
        if self.method == "GET":
            return None
        if self.body is None:
            return orjson.dumps(json_value(dict(fields)))
        text = self.body.render(fields)
        if self.is_json:
            try:
                orjson.loads(text)
            except ValueError as error:
                reason = "the body is no JSON"
                raise UnsendableError(reason) from error
        return text.encode()


def asking(spec: StageSpec, web: Web) -> Asking:
    """Return how the stage of *spec* asks.

    Raises:
        OptionsError: with every problem of its address, headers and body.
    """
    options = spec.options
    problems: list[str] = []
    headers = _headers(options["headers"], web, problems)
    kind = headers.get("Content-Type", JSON).partition(";")[0].strip().lower()
    address = _template(spec, "url", "urlencode", problems)
    body = _template(spec, "body", "tojson" if kind == JSON else None, problems)
    origin = _origin(options["url"], web, problems)
    if problems:
        raise OptionsError(problems)
    return Asking(
        method=options["method"],
        origin=origin,
        address=address or TemplateText("", ()),
        headers=headers,
        body=body,
        is_json=kind == JSON,
    )


def _template(
    spec: StageSpec, key: str, last: str | None, problems: list[str]
) -> TemplateText | None:
    """Return the template at *key*, all of whose values end in the filter *last*."""
    source = spec.options[key]
    if source is None:
        return None
    try:
        text = TemplateText(source, spec.inputs)
    except TemplateTextError as error:
        problems += [f"{key}: {problem}" for problem in error.problems]
        return None
    found = () if last is None else unfiltered(source, last)
    problems += [f"{key}: {problem}" for problem in found]
    return text


def _origin(url: str, web: Web, problems: list[str]) -> str:
    """Return the origin of *url*, which no input can change."""
    head = _MARKUP.split(url, maxsplit=1)[0]
    if "${" in url:
        problems.append("url: shows no secrets: send them in a header")
    try:
        parts = urlsplit(head)
        if head != url and not re.match(r"[^/]*//[^/?#]+[/?]", head):
            problems.append("url: an input cannot say which server is asked")
        elif not head.strip().isprintable() or " " in head.strip():
            # urlsplit leaves tabs and new lines out; what is sent has them encoded.
            problems.append("url: is no address")
        elif "#" in _MARKUP.sub("", url):
            problems.append("url: has a fragment, which no server sees")
        else:
            return web.origin_of(parts)
    except ValueError:
        problems.append("url: is no address")
    except ConfigError as error:
        problems += [f"url: {problem}" for problem in error.problems]
    return ""


def _headers(
    said: Mapping[str, str], web: Web, problems: list[str]
) -> Mapping[str, str]:
    """Return the headers that are sent, with their secrets."""
    headers = {"User-Agent": "penstock", "Accept": JSON, "Accept-Encoding": "identity"}
    for name, text in said.items():
        path = f"headers.{name}"
        if not _HEADER.fullmatch(name) or name.lower() in OURS:
            problems.append(f"{path}: is no header that a file can set")
        elif not (text.isascii() and text.isprintable()):
            problems.append(f"{path}: must be printable ASCII")
        elif _MARKUP.search(text):
            problems.append(f"{path}: is sent as it is: no input can stand in it")
        else:
            try:
                headers[name.title()] = web.revealed(text)
            except ConfigError as error:
                problems += [f"{path}: {problem}" for problem in error.problems]
    return headers


def _safe(url: str) -> str:
    path = url.partition("?")[0]
    # Some servers decode before they look at segments.
    segments: Sequence[str] = re.split("/|%2f|%5c", path.lower().replace("%2e", "."))
    if ".." in segments or "." in segments[3:]:
        reason = "the address has a segment that leads elsewhere"
        raise UnsendableError(reason)
    if len(url) > MAX_ADDRESS:
        reason = f"the address has more than {MAX_ADDRESS} characters"
        raise UnsendableError(reason)
    return url
