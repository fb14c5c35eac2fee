"""The client of an external registry asks again where it helps, and tells no secret."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from agents.registry_client import RegistryClient
from agents.registry_http import add_routes
from schemas.codec import ParsedSchema
from schemas.embedded import EmbeddedRegistry
from schemas.errors import (
    IncompatibleSchemaError,
    InvalidSchemaError,
    RegistryRefusedError,
    RegistryUnavailableError,
    UnknownSchemaError,
)
from schemas.registry import Subjects

SUBJECT = "team/penstock.support.results-value"
A = '{"fields":[{"name":"a","type":"string"}],"name":"R","type":"record"}'


@dataclass
class Elsewhere:
    """A registry on the network: the embedded one behind what goes wrong out there."""

    failures: list[int | str | None] = field(default_factory=list)
    """What the next answers are instead: a status, None for no answer, a body."""
    authorizations: list[str | None] = field(default_factory=list)

    def application(self) -> web.Application:
        async def away(*_: bytes) -> None:
            return None

        app = web.Application(middlewares=[self.between])
        registry = EmbeddedRegistry(subjects=Subjects(), publish=away, refresh=away)
        add_routes(app, registry, register=True)
        return app

    @web.middleware
    async def between(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.authorizations.append(request.headers.get("Authorization"))
        if not self.failures:
            return await handler(request)
        failure = self.failures.pop(0)
        if failure is None:
            assert request.transport
            request.transport.close()
            failure = 500
        if isinstance(failure, str):
            return web.Response(text=failure)
        return web.Response(status=failure, text="<html>")


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


Ask = Callable[..., RegistryClient]


@pytest.fixture
async def client(elsewhere) -> AsyncIterator[Ask]:
    async with (
        TestServer(elsewhere.application()) as server,
        ClientSession() as session,
    ):

        def make(user: str = "", **options: Any) -> RegistryClient:
            url = f"http://{user}{server.host}:{server.port}"
            return RegistryClient(session, url, wait_s=0, **options)

        yield make


async def test_a_schema_is_registered_looked_up_and_read(client):
    registry = client()
    assert await registry.lookup(SUBJECT, A) is None
    known = await registry.register(SUBJECT, A)
    assert known == ParsedSchema.of(A).id
    assert await registry.lookup(SUBJECT, A) == known
    assert await registry.by_id(known) == A


async def test_the_newest_schema_of_a_subject_is_found_and_no_subject_is_none(client):
    registry = client()
    assert await registry.newest(SUBJECT) is None
    await registry.register(SUBJECT, A)
    wider = A.replace("}]", '},{"default":"","name":"b","type":"string"}]')
    known = await registry.register(SUBJECT, wider)
    assert await registry.newest(SUBJECT) == (known, ParsedSchema.of(wider).text)
    with pytest.raises(UnknownSchemaError):
        await registry.by_id("12345678-1234-5678-1234-567812345678")


async def test_what_nobody_knows_is_unknown_at_once(client, elsewhere):
    with pytest.raises(UnknownSchemaError):
        await client().by_id(7)
    assert len(elsewhere.authorizations) == 1


@pytest.mark.parametrize("failure", [500, 503, 408, 429, None])
async def test_what_may_pass_is_asked_again(client, elsewhere, failure):
    elsewhere.failures = [failure, failure]
    with pytest.raises(UnknownSchemaError):
        await client(attempts=3).by_id(7)
    assert len(elsewhere.authorizations) == 3


async def test_what_does_not_pass_is_unavailable(client, elsewhere):
    elsewhere.failures = [502, 503]
    with pytest.raises(RegistryUnavailableError, match="HTTP 503") as caught:
        await client(attempts=2).by_id(7)
    assert caught.value.retryable


async def test_a_registry_that_is_not_there_is_unavailable(unused_tcp_port):
    async with ClientSession() as session:
        url = f"http://127.0.0.1:{unused_tcp_port}"
        with pytest.raises(RegistryUnavailableError):
            await RegistryClient(session, url, attempts=2, wait_s=0).by_id(7)


async def test_a_registry_that_says_nothing_is_unavailable():
    async def silent(_: web.Request) -> web.Response:
        await answered.wait()
        return web.Response()

    answered = asyncio.Event()
    app = web.Application()
    app.router.add_get("/schemas/ids/7", silent)
    async with TestServer(app) as server, ClientSession() as session:
        url = str(server.make_url(""))
        registry = RegistryClient(session, url, attempts=1, timeout_s=0.05)
        with pytest.raises(RegistryUnavailableError, match="TimeoutError"):
            await registry.by_id(7)
        answered.set()


@pytest.mark.parametrize("status", [401, 403, 302, 405])
async def test_a_refusal_is_not_asked_again(client, elsewhere, status):
    elsewhere.failures = [status]
    with pytest.raises(RegistryRefusedError, match=f"HTTP {status}") as caught:
        await client().register(SUBJECT, A)
    assert not caught.value.retryable
    assert len(elsewhere.authorizations) == 1


@pytest.mark.parametrize("body", ["<html>", "[]", "{}"])
async def test_an_answer_that_is_none_is_a_refusal(client, elsewhere, body):
    elsewhere.failures = [body]
    with pytest.raises(RegistryRefusedError, match="no reason given"):
        await client().by_id(7)


@pytest.mark.parametrize(
    "body",
    [
        '{"schema": "x", "schemaType": "PROTOBUF"}',
        '{"schema": "x", "references": [{"name": "y"}]}',
    ],
)
async def test_a_schema_that_we_cannot_use_is_invalid(client, elsewhere, body):
    elsewhere.failures = [body]
    with pytest.raises(InvalidSchemaError, match="7 is not Avro without references"):
        await client().by_id(7)


async def test_a_conflict_names_subject_and_reason(client):
    await client().register(SUBJECT, A)
    with pytest.raises(IncompatibleSchemaError, match="type_mismatch") as caught:
        await client().register(SUBJECT, '"int"')
    assert caught.value.subject == SUBJECT


async def test_what_the_registry_takes_for_no_schema_is_invalid(client):
    with pytest.raises(InvalidSchemaError, match=SUBJECT):
        await client().register(SUBJECT, '{"type":"record","name":"a-b","fields":[]}')


async def test_credentials_travel_in_a_header_and_nowhere_else(client, elsewhere):
    elsewhere.failures = [401]
    with pytest.raises(RegistryRefusedError) as caught:
        await client(user="ann:p%40ss@").by_id(8)
    assert elsewhere.authorizations == [
        "Basic " + base64.b64encode(b"ann:p@ss").decode()
    ]
    assert "p@ss" not in str(caught.value)
    assert "ann" not in str(caught.value)


async def test_a_user_may_have_no_password(client, elsewhere):
    with pytest.raises(UnknownSchemaError):
        await client(user="token@").by_id(7)
    assert elsewhere.authorizations == ["Basic " + base64.b64encode(b"token:").decode()]
