"""An external schema registry by URL, as far as penstock asks one.

Two routes and a lookup, on the aiohttp session that the worker has anyway;
docs/decisions/0001-registry.md says why this is not confluent-kafka's client.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)
from yarl import URL

from schemas.errors import (
    IncompatibleSchemaError,
    InvalidSchemaError,
    RegistryRefusedError,
    RegistryUnavailableError,
    UnknownSchemaError,
)
from schemas.identity import AvroSchema, normalise

CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"

UNAVAILABLE: Final = frozenset(
    (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600))
)
"""Answers after which asking again may help."""


class RegistryClient:
    """A ``SchemaSource`` behind a Confluent-compatible HTTP interface."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        attempts: int = 4,
        wait_s: float = 0.2,
        timeout_s: float = 5.0,
    ) -> None:
        """Ask the registry at *url*, which may carry ``user:password@``.

        Args:
            session: The caller's; it is not closed here.
            url: Base address. Its credentials travel in a header and in no message.
            attempts: Calls per question, counted from 1.
            wait_s: First wait between two of them; later ones double, with jitter.
            timeout_s: Longest wait for the answer of one call.
        """
        address = URL(url)
        self._session = session
        self._base = address.with_user(None)
        self._name = str(self._base)
        self._headers = {"Accept": CONTENT_TYPE, "Content-Type": CONTENT_TYPE}
        if address.user is not None:
            self._headers["Authorization"] = aiohttp.encode_basic_auth(
                address.user, address.password or ""
            )
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._attempts = attempts
        self._wait_s = wait_s

    async def by_id(self, ref: int | str) -> str:
        """Return the schema under an id (int) or a GUID (str).

        Raises:
            UnknownSchemaError: the registry does not have it.
            InvalidSchemaError: not Avro, or in pieces (references).
            RegistryError: the registry did not answer, or refused.
        """
        kind = "ids" if isinstance(ref, int) else "guids"
        status, body = await self._ask("GET", f"schemas/{kind}/{ref}")
        if status == HTTPStatus.NOT_FOUND:
            raise UnknownSchemaError(ref)
        if body.get("schemaType", "AVRO") != "AVRO" or body.get("references"):
            raise InvalidSchemaError(reason=f"{ref} is not Avro without references")
        return str(self._expect(status, body, "schema"))

    async def newest(self, subject: str) -> tuple[int, str] | None:
        """Return id and text of what *subject* holds last; None if it is unknown.

        Raises:
            RegistryError: the registry did not answer, or refused.
        """
        path = f"subjects/{quote(subject, safe='')}/versions/latest"
        status, body = await self._ask("GET", path)
        if status == HTTPStatus.NOT_FOUND:
            return None
        text = str(self._expect(status, body, "schema"))
        return int(self._expect(status, body, "id")), text

    async def register(self, subject: str, schema: AvroSchema) -> int:
        """Return the id of *schema*, which *subject* holds, or does from now on.

        Raises:
            InvalidSchemaError: the registry takes it for no schema.
            IncompatibleSchemaError: it would break readers or writers of *subject*.
            RegistryError: the registry did not answer, or refused.
        """
        path = f"subjects/{quote(subject, safe='')}/versions"
        status, body = await self._ask("POST", path, {"schema": normalise(schema)})
        if status == HTTPStatus.CONFLICT:
            raise IncompatibleSchemaError(subject, (_message(body),))
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise InvalidSchemaError(reason=f"{subject}: {_message(body)}")
        return int(self._expect(status, body, "id"))

    async def lookup(self, subject: str, schema: AvroSchema) -> int | None:
        """Return the id of *schema* under *subject*; None if it is not there.

        Raises:
            RegistryError: the registry did not answer, or refused.
        """
        path = f"subjects/{quote(subject, safe='')}"
        status, body = await self._ask("POST", path, {"schema": normalise(schema)})
        return (
            None
            if status == HTTPStatus.NOT_FOUND
            else int(self._expect(status, body, "id"))
        )

    def _expect(self, status: int, body: Mapping[str, Any], name: str) -> Any:
        if status != HTTPStatus.OK or name not in body:
            raise RegistryRefusedError(
                registry=self._name, reason=f"HTTP {status}: {_message(body)}"
            )
        return body[name]

    async def _ask(
        self, method: str, path: str, body: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, Any]]:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(RegistryUnavailableError),
            stop=stop_after_attempt(self._attempts),
            wait=wait_random_exponential(multiplier=self._wait_s, max=5),
            reraise=True,
        )
        return await retrying(self._ask_once, method, path, body)

    async def _ask_once(
        self, method: str, path: str, body: Mapping[str, str] | None
    ) -> tuple[int, Mapping[str, Any]]:
        try:
            async with self._session.request(
                method,
                self._base.joinpath(path, encoded=True),
                json=body,
                headers=self._headers,
                timeout=self._timeout,
            ) as response:
                if response.status in UNAVAILABLE:
                    raise RegistryUnavailableError(
                        registry=self._name, reason=f"HTTP {response.status}"
                    )
                return response.status, await _json_of(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise RegistryUnavailableError(
                registry=self._name, reason=reason
            ) from error


async def _json_of(response: aiohttp.ClientResponse) -> Mapping[str, Any]:
    """Return the object that *response* holds; a proxy's page of HTML is none."""
    try:
        body = await response.json(content_type=None)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _message(body: Mapping[str, Any]) -> str:
    return str(body.get("message", "no reason given"))
