"""Envelopes: dicts of Avro become values and back, and strangers are named by field."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from schemas.codec import ParsedSchema, decode, encode
from schemas.envelopes import (
    namespace_of,
    request_of,
    request_schema,
    result_of,
    result_schema,
    result_value,
    stage_result_of,
    stage_result_schema,
    stage_result_value,
)
from schemas.errors import EnvelopeError, MalformedError
from schemas.identity import schema_id
from schemas.records import (
    MODES,
    STATUSES,
    ErrorInfo,
    Request,
    Result,
    Source,
    StageResult,
    Timings,
    Usage,
)

NAMESPACE = "penstock.support"
TICKET = [{"name": "ticket", "type": "string"}]
REPLY = [{"name": "reply", "type": "string"}]
STAGES = {"classify": [{"name": "category", "type": "string"}], "error": REPLY}

REQUEST = ParsedSchema.of(request_schema(NAMESPACE, TICKET))
STAGE = ParsedSchema.of(stage_result_schema(NAMESPACE, STAGES))
RESULT = ParsedSchema.of(result_schema(NAMESPACE, REPLY))

SOURCE = Source(topic="penstock.support.requests", partition=3, offset=42)
ERROR = ErrorInfo(
    code="stage.timeout",
    message="no answer within 8 s",
    stage="classify",
    field="category",
    retryable=True,
    hint="ask again",
    cause="TimeoutError",
)
USAGE = Usage(calls=2, input_tokens=30, output_tokens=4, cost_usd=0.5, cached_calls=1)

FULL_RESULT = Result(
    request_id="r-1",
    pipeline="support",
    pipeline_version=2,
    status="PARTIAL",
    session_id="s-1",
    turn=7,
    replay=1,
    outputs={"reply": "hello"},
    error=ERROR,
    usage=USAGE,
    timings=Timings(queued_ms=1, running_ms=2, stages={"classify": 2}),
    versions={"classify": "classify@1234"},
    source=SOURCE,
)
FULL_STAGE = StageResult(
    request_id="r-1",
    pipeline="support",
    pipeline_version=2,
    stage="error",
    status="OK",
    sequence=2,
    session_id="s-1",
    replay=1,
    outputs={"reply": "hello"},
    error=ERROR,
    usage=USAGE,
    started_ms=1_700_000_000_000,
    duration_ms=12,
    attempts=2,
    version="draft@1234",
    source=SOURCE,
)


def through(schema: ParsedSchema, value: dict[str, Any]) -> dict[str, Any]:
    """Return *value* after a trip over the wire."""
    body = encode(schema, value)
    return decode(body, start=0, schema=schema, limit_bytes=len(body))


@pytest.mark.parametrize(
    "result",
    [
        FULL_RESULT,
        Result(request_id="r", pipeline="p", pipeline_version=1, status="EXPIRED"),
    ],
    ids=["full", "bare"],
)
def test_a_result_survives_the_wire(result):
    assert result_of(through(RESULT, result_value(result))) == result


@pytest.mark.parametrize(
    "record",
    [
        FULL_STAGE,
        StageResult(
            request_id="r",
            pipeline="p",
            pipeline_version=1,
            stage="classify",
            status="ERROR",
            sequence=1,
        ),
    ],
    ids=["full", "bare"],
)
def test_a_stage_result_survives_the_wire(record):
    assert stage_result_of(through(STAGE, stage_result_value(record))) == record


def test_each_stage_has_a_field_of_its_own():
    value = through(STAGE, stage_result_value(FULL_STAGE))
    assert value["outputs"] == {"classify": None, "error": {"reply": "hello"}}


def test_a_request_survives_the_wire():
    value = {
        "request_id": "r-1",
        "inputs": {"ticket": "t"},
        "session_id": "s-1",
        "pipeline": "support",
        "pipeline_version": 2,
        "deadline_ms": 5,
        "priority": 3,
        "tenant": "acme",
        "mode": "DEBUG",
        "options": {"lang": "de"},
    }
    assert request_of(through(REQUEST, value)) == Request(**value)


def test_what_a_request_leaves_out_takes_its_default():
    request = request_of({"request_id": "r", "inputs": {}}, pipeline="support")
    assert request == Request(request_id="r", pipeline="support", inputs={})


def test_null_and_empty_mean_left_out():
    empty = {"session_id": "", "pipeline": "", "mode": "", "options": None}
    nulls = {"pipeline_version": None, "deadline_ms": None, "priority": None}
    value = {"request_id": "r", "inputs": {}} | empty | nulls
    assert request_of(value) == Request(request_id="r", pipeline="", inputs={})


@pytest.mark.parametrize(
    "moment",
    [
        1_700_000_000_123,
        datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC),
        datetime(2023, 11, 14, 22, 13, 20, 123_000),  # noqa: DTZ001 - local-timestamp-*
    ],
    ids=["long", "timestamp", "local timestamp"],
)
def test_a_deadline_may_be_any_of_avros_moments(moment):
    value = {"request_id": "r", "inputs": {}, "deadline_ms": moment}
    assert request_of(value).deadline_ms == 1_700_000_000_123


def test_an_id_may_be_a_uuid():
    uuid = UUID("12345678-1234-5678-1234-567812345678")
    assert request_of({"request_id": uuid, "inputs": {}}).request_id == str(uuid)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("request_id", None),
        ("request_id", ""),
        ("request_id", 7),
        ("inputs", None),
        ("inputs", "ticket"),
        ("session_id", 7),
        ("pipeline", b"support"),
        ("pipeline_version", "1"),
        ("pipeline_version", True),
        ("deadline_ms", "tomorrow"),
        ("priority", 0.5),
        ("tenant", 7),
        ("mode", 7),
        ("options", "all"),
    ],
)
def test_what_is_no_request_is_malformed_by_field(field, wrong):
    value = {"request_id": "r", "inputs": {}} | {field: wrong}
    with pytest.raises(EnvelopeError, match=f"^{field}: ") as caught:
        request_of(value)
    assert isinstance(caught.value, MalformedError)
    assert caught.value.field == field
    assert caught.value.code == "decode.malformed"


def test_an_option_that_is_no_string_is_named():
    with pytest.raises(EnvelopeError, match=r"^options\.lang: "):
        request_of({"request_id": "r", "inputs": {}, "options": {"lang": 7}})


@pytest.mark.parametrize("field", ["request_id", "status"])
def test_a_result_without_its_fields_is_none(field):
    value = result_value(FULL_RESULT)
    del value[field]
    with pytest.raises(EnvelopeError, match=field):
        result_of(value)


def test_statuses_and_modes_are_strings_that_say_what_is_allowed():
    status = {f["name"]: f["type"] for f in result_schema(NAMESPACE, REPLY)["fields"]}
    mode = {f["name"]: f["type"] for f in request_schema(NAMESPACE, TICKET)["fields"]}
    assert status["status"] == {"type": "string", "allowed": list(STATUSES)}
    assert mode["mode"] == {"type": "string", "allowed": list(MODES)}


def test_everything_says_what_it_is():
    def undocumented(schema: Any, path: str) -> list[str]:
        if isinstance(schema, list):
            return [p for branch in schema for p in undocumented(branch, path)]
        if not isinstance(schema, dict) or "fields" not in schema:
            return []
        found = [] if "doc" in schema else [path]
        for each in schema["fields"]:
            at = f"{path}/{each['name']}"
            # The fields of the pipeline document themselves, or not.
            if "doc" not in each and each["name"] not in (
                "ticket",
                "reply",
                "category",
            ):
                found.append(at)
            found += undocumented(each["type"], at)
        return found

    for make, fields in (
        (request_schema, TICKET),
        (stage_result_schema, STAGES),
        (result_schema, REPLY),
    ):
        assert undocumented(make(NAMESPACE, fields), make.__name__) == []


@pytest.mark.parametrize(
    ("prefix", "pipeline", "namespace"),
    [
        ("penstock", "support", "penstock.support"),
        ("my-team", "2nd-level", "my_team._2nd_level"),
        ("a.b", "c", "a.b.c"),
    ],
)
def test_a_namespace_is_what_avro_allows(prefix, pipeline, namespace):
    assert namespace_of(prefix, pipeline) == namespace


def test_the_schemas_of_a_pipeline_keep_their_ids():
    # A changed id is a new version on everybody's topics. If you meant it, say so in
    # docs/changes and write the new number here.
    ids = [schema_id(schema.text) for schema in (REQUEST, STAGE, RESULT)]
    assert ids == [626736463, 47588150, 382428017]


def test_the_bytes_of_a_result_never_change():
    # Golden: results are kept for weeks, and read by programs we do not know.
    bare = Result(request_id="r", pipeline="p", pipeline_version=1, status="OK")
    assert encode(RESULT, result_value(bare)).hex(" ") == (
        "02 72 00 02 70 02 04 4f 4b "  # r, no session, p, 1, OK
        "00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
        "00"  # sequence
    )
