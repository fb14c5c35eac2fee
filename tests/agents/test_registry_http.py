"""The registry's routes answer as Confluent's do; its own clients agree."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from agents.registry_http import MAX_BODY_BYTES, add_routes
from examples.confluent_consumer import deserializer
from examples.confluent_producer import request, serializer
from schemas.codec import ParsedSchema, decode, encode, frame, schema_ref
from schemas.embedded import EmbeddedRegistry
from schemas.envelopes import request_of, request_schema
from schemas.errors import RegistryUnavailableError
from schemas.registry import Subjects

SUBJECT = "penstock.support.requests-value"
TOPIC = "penstock.support.requests"
RESULTS = "penstock.support.results-value"

REQUEST = ParsedSchema.of(
    request_schema(
        "penstock.support",
        [
            {"name": "ticket", "type": "string"},
            {"name": "tier", "type": "string", "default": "free"},
        ],
    )
)
A = '{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}'
A_AND_B = (
    '{"type":"record","name":"R","fields":[{"name":"a","type":"string"},'
    '{"name":"b","type":"int","default":0}]}'
)

RECURSIVE = '{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}'


class Topic:
    """A schemas topic, and what another worker wrote to it meanwhile."""

    def __init__(self) -> None:
        self.subjects = Subjects()
        self.published: list[tuple[bytes, bytes]] = []
        self.unread: list[tuple[bytes, bytes]] = []
        self.away = False

    async def publish(self, key: bytes, value: bytes) -> None:
        self._answer()
        self.published.append((key, value))

    async def refresh(self) -> None:
        self._answer()
        while self.unread:
            self.subjects.apply(*self.unread.pop())

    def _answer(self) -> None:
        if self.away:
            raise RegistryUnavailableError(
                registry="penstock.schemas", reason="no leader"
            )


@pytest.fixture
def topic() -> Topic:
    return Topic()


async def serve(topic: Topic, *, register: bool) -> TestClient[Any, Any]:
    app = web.Application()
    registry = EmbeddedRegistry(
        subjects=topic.subjects, publish=topic.publish, refresh=topic.refresh
    )
    add_routes(app, registry, register=register)

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="alive")

    app.router.add_get("/livez", alive)  # after ours, and still found
    client = TestClient(TestServer(app))
    await client.start_server()
    return client


@pytest.fixture
async def http(topic: Topic) -> AsyncIterator[TestClient[Any, Any]]:
    client = await serve(topic, register=True)
    yield client
    await client.close()


@pytest.fixture
async def locked(topic: Topic) -> AsyncIterator[TestClient[Any, Any]]:
    client = await serve(topic, register=False)
    yield client
    await client.close()


async def get(http: TestClient[Any, Any], path: str) -> tuple[int, Any]:
    async with http.get(path) as response:
        assert response.content_type == "application/vnd.schemaregistry.v1+json"
        return response.status, await response.json()


async def post(http: TestClient[Any, Any], path: str, body: Any) -> tuple[int, Any]:
    async with http.post(path, json=body) as response:
        assert response.content_type == "application/vnd.schemaregistry.v1+json"
        return response.status, await response.json()


async def enter(http: TestClient[Any, Any], subject: str, schema: str) -> Any:
    status, body = await post(http, f"/subjects/{subject}/versions", {"schema": schema})
    assert status == 200
    return body


def publish_elsewhere(topic: Topic, subject: str, schema: str) -> int:
    """Register *schema* as another worker does; return its id."""
    registration = Subjects().register(subject, schema)
    assert registration.record
    topic.unread.append(registration.record)
    return registration.id


async def test_a_registered_schema_is_found_on_every_route(http, topic):
    made = await enter(http, RESULTS, A)
    known = made["id"]
    status, held = await get(http, f"/subjects/{RESULTS}/versions/latest")
    assert status == 200
    assert made == {"id": held["id"], "version": 1}
    text = held["schema"]
    assert (held["subject"], held["version"]) == (RESULTS, 1)
    assert await get(http, f"/schemas/ids/{known}") == (200, {"schema": text})
    assert await get(http, f"/schemas/guids/{held['guid']}") == (200, {"schema": text})
    uses = [{"subject": RESULTS, "version": 1}]
    assert await get(http, f"/schemas/ids/{known}/versions") == (200, uses)
    assert await get(http, f"/schemas/ids/{known}/subjects") == (200, [RESULTS])
    assert await get(http, "/subjects") == (200, [RESULTS])
    assert await get(http, f"/subjects/{RESULTS}/versions") == (200, [1])
    assert await get(http, f"/subjects/{RESULTS}/versions/1") == (200, held)
    assert await get(http, f"/subjects/{RESULTS}/versions/-1") == (200, held)
    assert await post(http, f"/subjects/{RESULTS}", {"schema": A}) == (200, held)
    assert len(topic.published) == 1


async def test_registering_again_is_no_second_version(http, topic):
    assert await enter(http, RESULTS, A) == await enter(http, RESULTS, A)
    assert len(topic.published) == 1


async def test_the_levels_are_those_of_the_design(http):
    forward = {"compatibilityLevel": "FORWARD_TRANSITIVE"}
    assert await get(http, "/config") == (200, forward)
    assert await get(http, f"/config/{RESULTS}") == (200, forward)
    backward = {"compatibilityLevel": "BACKWARD_TRANSITIVE"}
    assert await get(http, f"/config/{SUBJECT}") == (200, backward)


async def test_only_avro_is_spoken(http):
    assert await get(http, "/schemas/types") == (200, ["AVRO"])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/schemas/ids/7", 404, 40403),
        ("/schemas/ids/7/versions", 404, 40403),
        ("/schemas/ids/7/subjects", 404, 40403),
        ("/schemas/guids/12345678-1234-5678-1234-567812345678", 404, 40403),
        ("/subjects/nobody/versions", 404, 40401),
        ("/subjects/nobody/versions/latest", 404, 40401),
        (f"/subjects/{RESULTS}/versions/7", 404, 40402),
        (f"/subjects/{RESULTS}/versions/0", 422, 42202),
        (f"/subjects/{RESULTS}/versions/first", 422, 42202),
        ("/associations/resources/x?resourceType=topic", 404, 404),
        ("/schemas/ids/seven", 404, 404),
        ("/", 404, 404),
    ],
)
async def test_what_is_not_there_is_said_in_confluents_codes(http, path, status, code):
    await enter(http, RESULTS, A)
    found, body = await get(http, path)
    assert (found, body["error_code"]) == (status, code)
    assert body["message"]


async def test_other_routes_of_the_application_are_found(http):
    async with http.get("/livez") as response:
        assert await response.text() == "alive"


async def test_lookup_tells_an_unknown_subject_from_an_unknown_schema(http):
    _, body = await post(http, f"/subjects/{RESULTS}", {"schema": A})
    assert body["error_code"] == 40401
    await enter(http, RESULTS, A)
    _, body = await post(http, f"/subjects/{RESULTS}", {"schema": A_AND_B})
    assert body["error_code"] == 40403


async def test_what_another_worker_registered_is_found(http, topic):
    known = publish_elsewhere(topic, RESULTS, A)
    status, _ = await get(http, f"/schemas/ids/{known}")
    assert status == 200
    publish_elsewhere(topic, SUBJECT, A)
    assert await get(http, f"/subjects/{SUBJECT}/versions") == (200, [1])


async def test_an_incompatible_version_is_a_conflict_with_its_reason(http, topic):
    await enter(http, RESULTS, A_AND_B)
    status, body = await post(
        http,
        f"/subjects/{RESULTS}/versions",
        {"schema": '{"type":"record","name":"R","fields":[]}'},
    )
    assert (status, body["error_code"]) == (409, 409)
    assert "reader_field_missing_default_value (a)" in body["message"]
    assert len(topic.published) == 1


async def test_compatibility_can_be_asked_for_without_registering(http, topic):
    await enter(http, RESULTS, A)
    check = f"/compatibility/subjects/{RESULTS}/versions"
    good = {"is_compatible": True, "messages": []}
    for path in (check, f"{check}/latest", f"{check}/1"):
        assert await post(http, path, {"schema": A_AND_B}) == (200, good)
    wrong = {"schema": '{"type":"record","name":"R","fields":[]}'}
    for path in (check, f"{check}/latest"):
        status, body = await post(http, path, wrong)
        assert (status, body["is_compatible"]) == (200, False)
        assert body["messages"]
    _, body = await post(http, "/compatibility/subjects/new/versions/latest", wrong)
    assert body["error_code"] == 40401
    assert len(topic.published) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"schema": "{"},
        {"schema": '{"type":"record","name":"a-b","fields":[]}'},
        {"schema": RECURSIVE},
        {"schema": {"type": "string"}},
        {"schema": A, "schemaType": "PROTOBUF"},
        {"schema": A, "references": [{"name": "x", "subject": "x", "version": 1}]},
        {},
        [],
        "{",
    ],
    ids=str,
)
async def test_what_is_no_schema_cannot_be_processed(http, topic, body):
    status, answer = await post(http, f"/subjects/{RESULTS}/versions", body)
    assert (status, answer["error_code"]) == (422, 42201)
    assert topic.published == []


async def test_a_body_that_is_no_json_cannot_be_processed(http):
    async with http.post(f"/subjects/{RESULTS}", data=b"\xff{") as response:
        assert response.status == 422


async def test_a_body_is_read_up_to_a_limit(http):
    schema = '"' + " " * MAX_BODY_BYTES + '"'
    status, body = await post(http, f"/subjects/{RESULTS}/versions", {"schema": schema})
    assert (status, body["error_code"]) == (413, 413)


async def test_switched_off_it_takes_nothing_new_and_confirms_what_is_there(
    locked, topic
):
    publish_elsewhere(topic, RESULTS, A)
    await topic.refresh()
    path = f"/subjects/{RESULTS}/versions"
    assert (await post(locked, path, {"schema": A}))[0] == 200
    status, body = await post(locked, path, {"schema": A_AND_B})
    assert (status, body["error_code"]) == (403, 40301)
    assert topic.published == []


async def test_a_topic_that_is_away_is_no_no(http, topic):
    topic.away = True
    for status, body in (
        await get(http, "/schemas/ids/7"),
        await post(http, f"/subjects/{RESULTS}/versions", {"schema": A}),
    ):
        assert (status, body["error_code"]) == (503, 50301)


def confluent(http: TestClient[Any, Any]) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": str(http.make_url("")).rstrip("/")})


async def test_confluents_client_agrees_with_us(http):
    def ask() -> None:
        with confluent(http) as client:
            known = client.register_schema(RESULTS, Schema(A, "AVRO"))
            assert known == ParsedSchema.of(A).id
            held = client.get_latest_version(RESULTS)
            assert (held.schema_id, held.version) == (known, 1)
            assert client.get_schema(known).schema_str == held.schema.schema_str
            assert (
                client.get_schema_by_guid(held.guid).schema_str
                == held.schema.schema_str
            )
            assert client.lookup_schema(RESULTS, Schema(A, "AVRO")).schema_id == known
            assert client.get_subjects() == [RESULTS]
            assert client.get_versions(RESULTS) == [1]
            assert client.get_schema_types() == ["AVRO"]
            assert client.test_compatibility(RESULTS, Schema(A_AND_B, "AVRO"))
            level = client.get_config(RESULTS).compatibility_level
            assert level == "FORWARD_TRANSITIVE"
            with pytest.raises(SchemaRegistryError) as caught:
                client.register_schema(RESULTS, Schema('"int"', "AVRO"))
            assert caught.value.http_status_code == 409
            with pytest.raises(SchemaRegistryError) as caught:
                client.get_latest_version("nobody")
            assert caught.value.error_code == 40401

    await asyncio.to_thread(ask)


async def test_the_example_producer_writes_what_we_read(http):
    known = (await enter(http, SUBJECT, REQUEST.text))["id"]
    assert known == REQUEST.id
    url = str(http.make_url("")).rstrip("/")
    sent = request(session="s-1", ticket="no water", tier="pro")

    def write() -> bytes:
        serialize = serializer(url)
        written = serialize(sent, SerializationContext(TOPIC, MessageField.VALUE))
        assert written
        return bytes(written)

    payload = await asyncio.to_thread(write)
    ref, start = schema_ref(payload)
    assert ref == known
    got = request_of(decode(payload, start=start, schema=REQUEST, limit_bytes=1_000))
    assert got.request_id == sent["request_id"]
    assert (got.session_id, got.inputs) == ("s-1", sent["inputs"])


async def test_the_example_consumer_reads_what_we_write(http):
    await enter(http, SUBJECT, REQUEST.text)
    url = str(http.make_url("")).rstrip("/")
    value = {"request_id": "r", "inputs": {"ticket": "t"}}
    payload = frame(REQUEST.id, encode(REQUEST, value))

    def read() -> Any:
        return deserializer(url)(
            payload, SerializationContext(TOPIC, MessageField.VALUE)
        )

    assert (await asyncio.to_thread(read))["inputs"] == {"ticket": "t", "tier": "free"}


async def test_confluents_defaults_work_too(http):
    # Without a strategy of its own a serializer asks for associations first.
    await enter(http, SUBJECT, REQUEST.text)
    payload = frame(
        REQUEST.id, encode(REQUEST, {"request_id": "r", "inputs": {"ticket": "t"}})
    )

    def read() -> Any:
        with confluent(http) as client:
            context = SerializationContext(TOPIC, MessageField.VALUE)
            return AvroDeserializer(client)(payload, context)

    assert (await asyncio.to_thread(read))["request_id"] == "r"


async def test_an_unfinished_body_does_not_hurt(http):
    async with ClientSession() as session:
        url = http.make_url(f"/subjects/{RESULTS}")
        async with session.post(url, data=b"") as response:
            assert response.status == 422
