"""The AsyncAPI document of an app is one by the published specification."""

from pathlib import Path

import orjson
import pytest
from jsonschema import Draft7Validator

from agents.asyncapi import AVRO, MESSAGES, asyncapi
from agents.topics import TOPICS
from schemas.codec import ParsedSchema
from streams.catalog import toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.metrics import NullRecorder
from streams.pipeline import compile_text

ROOT = Path(__file__).parents[2]
SPECIFICATION = orjson.loads(
    (ROOT / "tests/schemas/data/asyncapi-3.0.0.json").read_bytes()
)
PIPELINE = """
pipeline: desk
version: 3
input: "ticket: str[1..9], tier: Literal['free', 'pro'] = 'free', due: date | None"
output: "reply: str, price: Decimal[9, 2], spans: list[tuple[str, int]]"
lms: {small: {model: local/demo}}
stages:
  draft: {predict: "ticket, tier -> reply, price: Decimal[9, 2], spans: list[tuple[str, int]]", lm: small}
flow: [draft]
"""  # noqa: E501 - one signature, one line


def document(**env):
    settings = Settings.from_env(env)
    tools = toolbox(settings, {}, NullRecorder(), SystemClock())
    desk = compile_text(PIPELINE, "desk.yaml", tools)
    # As it is written: what JSON cannot hold would be noticed here.
    return orjson.loads(orjson.dumps(asyncapi(settings, {desk.name: desk})))


def problems(said):
    return [
        error.json_path for error in Draft7Validator(SPECIFICATION).iter_errors(said)
    ]


def test_the_document_is_valid_by_the_published_specification():
    assert problems(document()) == []
    assert problems(document(PENSTOCK_REGISTRY_URL="http://registry:8081")) == []


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        (("channels", "desk.requests", "bindings", "kafka", "partitions"), 0),
        (("operations", "desk.requests", "action"), "take"),
        (("servers", "kafka-1", "protocol"), None),
        (("components", "messages", "desk.results", "payload", "schema"), 7),
        (("components", "messages", "desk.results", "headers"), "all"),
        (("asyncapi",), "2.6.0"),
    ],
)
def test_that_specification_would_notice(where, wrong):
    said = document()
    part = said
    for name in where[:-1]:
        part = part[name]
    part[where[-1]] = wrong
    assert problems(said)


def test_every_topic_that_clients_use_is_a_channel_as_it_is_provisioned():
    channels = document(PENSTOCK_PARTITIONS="5", PENSTOCK_PREFIX="acme")["channels"]
    assert set(channels) == {f"desk.{role}" for role in MESSAGES}
    assert channels["desk.requests"]["address"] == "acme.desk.requests"
    assert channels["desk.requests"]["bindings"]["kafka"] == {
        "topic": "acme.desk.requests",
        "partitions": 5,
        "replicas": 1,
        "topicConfiguration": {
            "cleanup.policy": ["delete"],
            "retention.ms": 7 * 86_400_000,
            "max.message.bytes": 1_048_576,
        },
        "bindingVersion": "0.5.0",
    }
    # Nothing is published to the topic of chunks yet.
    roles = {shape.role for shape in TOPICS if shape.scope == "pipeline"}
    assert roles - set(MESSAGES) == {"chunks"}


def test_the_app_receives_requests_and_sends_what_follows():
    said = document(PENSTOCK_APP="eu")["operations"]
    assert {name: each["action"] for name, each in said.items()} == {
        "desk.requests": "receive",
        "desk.stages": "send",
        "desk.results": "send",
        "desk.dlq": "send",
    }
    asked = said["desk.requests"]
    assert asked["reply"] == {"channel": {"$ref": "#/channels/desk.results"}}
    assert asked["bindings"]["kafka"]["groupId"]["enum"] == ["penstock-eu"]


def test_a_payload_is_the_schema_that_is_registered():
    messages = document()["components"]["messages"]
    for role in ("requests", "stages", "results"):
        payload = messages[f"desk.{role}"]["payload"]
        assert payload["schemaFormat"] == AVRO
        assert ParsedSchema.of(payload["schema"]).text
    assert "payload" not in messages["desk.dlq"]
    assert "x-penstock-code" in messages["desk.dlq"]["headers"]["properties"]
    assert "correlation-id" in messages["desk.results"]["headers"]["properties"]


def test_every_reference_leads_somewhere():
    said = document()

    def references(part):
        if isinstance(part, dict):
            if set(part) == {"$ref"}:
                yield part["$ref"]
            part = list(part.values())
        if isinstance(part, list):
            for each in part:
                yield from references(each)

    for reference in references(said):
        part = said
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


def test_no_host_is_named_that_is_not_configured_and_no_password_is():
    assert document()["servers"]["kafka-1"]["host"] == "localhost:9092"
    said = document(
        PENSTOCK_BOOTSTRAP="one:9092,two:9092",
        PENSTOCK_REGISTRY_URL="https://me:hidden@registry:8081",
    )
    hosts = [server["host"] for server in said["servers"].values()]
    assert hosts == ["one:9092", "two:9092"]
    bindings = said["servers"]["kafka-1"]["bindings"]["kafka"]
    assert bindings["schemaRegistryUrl"] == "https://registry:8081"
    assert b"hidden" not in orjson.dumps(said)
