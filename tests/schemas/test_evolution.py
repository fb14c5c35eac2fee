"""Evolution: old readers read new records, and we read what old producers wrote."""

import io
from typing import Any

import fastavro

from schemas.codec import ParsedSchema, encode
from schemas.compatibility import level_of, problems
from schemas.envelopes import (
    request_schema,
    result_of,
    result_schema,
    result_value,
    stage_result_of,
    stage_result_schema,
    stage_result_value,
)
from schemas.records import Result, StageResult
from schemas.shapes import or_null

NAMESPACE = "penstock.support"
REPLY = {"name": "reply", "type": "string"}
CATEGORY = {"name": "category", "type": {"type": "string", "allowed": ["bug", "other"]}}


def reread(writer: Any, value: dict[str, Any], reader: Any) -> Any:
    """Return *value*, written with one schema, as a reader with another sees it."""
    body = io.BytesIO(encode(ParsedSchema.of(writer), value))
    reader = fastavro.parse_schema(reader)
    return fastavro.schemaless_reader(body, fastavro.parse_schema(writer), reader)


def breaks(subject: str, new: Any, old: Any) -> list[str]:
    text, earlier = ParsedSchema.of(new).text, ParsedSchema.of(old).text
    return problems(level_of(subject), text, [(1, earlier)])


def test_an_old_reader_reads_the_record_of_a_new_stage():
    old = stage_result_schema(NAMESPACE, {"draft": [REPLY]})
    new = stage_result_schema(NAMESPACE, {"classify": [CATEGORY], "draft": [REPLY]})
    identity = {"request_id": "r", "pipeline": "support", "pipeline_version": 2}
    record = identity | {"stage": "classify", "status": "OK", "sequence": 1}
    seen = reread(new, record | {"outputs": {"classify": {"category": "bug"}}}, old)
    assert seen["outputs"] == {"draft": None}
    assert seen["stage"] == "classify"
    assert breaks("penstock.support.stages-value", new, old) == []


def test_an_old_reader_reads_the_record_of_a_pipeline_that_dropped_a_stage():
    old = stage_result_schema(NAMESPACE, {"classify": [CATEGORY], "draft": [REPLY]})
    new = stage_result_schema(NAMESPACE, {"draft": [REPLY]})
    assert breaks("penstock.support.stages-value", new, old) == []


def test_an_old_reader_reads_a_new_literal_and_a_new_status():
    old = result_schema(NAMESPACE, [CATEGORY])
    wider = {"type": "string", "allowed": ["bug", "other", "billing"]}
    new = result_schema(NAMESPACE, [CATEGORY | {"type": wider}])
    identity = {"request_id": "r", "pipeline": "support", "pipeline_version": 2}
    record = identity | {"status": "POSTPONED", "outputs": {"category": "billing"}}
    seen = reread(new, record, old)
    assert (seen["status"], seen["outputs"]) == ("POSTPONED", {"category": "billing"})
    assert breaks("penstock.support.results-value", new, old) == []


LATER = {"path", "event", "percent"}


def without(schema: Any, names: set[str]) -> Any:
    """Return *schema* as it was before it had the fields *names*."""
    return {**schema, "fields": [f for f in schema["fields"] if f["name"] not in names]}


def test_a_reader_from_before_there_were_events_reads_them():
    new = stage_result_schema(NAMESPACE, {"draft": [REPLY]})
    old = without(new, LATER)
    assert [field["name"] for field in new["fields"][-3:]] == sorted(
        LATER, key=["path", "event", "percent"].index
    )
    record = StageResult(
        request_id="r",
        pipeline="support",
        pipeline_version=1,
        stage="map.1",
        status="OK",
        sequence=7,
        path="map.1",
        event="percent",
        percent=40,
    )
    seen = reread(new, stage_result_value(record), old)
    assert (seen["stage"], seen["sequence"], seen["outputs"]) == ("map.1", 7, None)
    assert breaks("penstock.support.stages-value", new, old) == []
    assert stage_result_of(reread(new, stage_result_value(record), new)) == record


def test_a_reader_from_before_results_had_a_sequence_reads_them():
    new = result_schema(NAMESPACE, [REPLY])
    old = without(new, {"sequence"})
    record = Result(
        request_id="r", pipeline="p", pipeline_version=1, status="OK", sequence=3
    )
    assert reread(new, result_value(record), old)["status"] == "OK"
    assert breaks("penstock.support.results-value", new, old) == []
    assert result_of(reread(new, result_value(record), new)) == record


def test_an_output_that_may_be_missing_is_null_or_what_it_was():
    assert or_null(REPLY)["type"] == ["null", "string"]
    assert or_null(REPLY | {"default": "x"})["type"] == ["string", "null"]
    nullable = {"name": "reply", "type": ["null", "string"], "default": None}
    assert or_null(nullable) == nullable
    schema = result_schema(NAMESPACE, [or_null(REPLY)])
    identity = {"request_id": "r", "pipeline": "support", "pipeline_version": 2}
    record = identity | {"status": "PARTIAL", "outputs": {"reply": None}}
    assert reread(schema, record, schema)["outputs"] == {"reply": None}


def test_an_enum_would_have_broken_that_reader():
    def enum(*symbols: str) -> dict[str, Any]:
        kind = {"type": "enum", "name": "Category", "symbols": list(symbols)}
        return result_schema(NAMESPACE, [{"name": "category", "type": kind}])

    subject = "penstock.support.results-value"
    assert breaks(subject, enum("bug", "billing"), enum("bug"))


def test_outputs_may_grow_and_not_shrink():
    subject = "penstock.support.results-value"
    small = result_schema(NAMESPACE, [REPLY])
    large = result_schema(NAMESPACE, [REPLY, CATEGORY])
    assert breaks(subject, large, small) == []
    (why,) = breaks(subject, small, large)
    assert why.startswith("version 1: outputs: missing_union_branch")


def test_inputs_may_grow_with_a_default_only():
    subject = "penstock.support.requests-value"
    ticket = {"name": "ticket", "type": "string"}
    tier = {"name": "tier", "type": "string"}
    old = request_schema(NAMESPACE, [ticket])
    (why,) = breaks(subject, request_schema(NAMESPACE, [ticket, tier]), old)
    assert why == "version 1: inputs: reader_field_missing_default_value (tier)"
    optional = request_schema(NAMESPACE, [ticket, tier | {"default": "free"}])
    assert breaks(subject, optional, old) == []


def test_a_record_keeps_its_name():
    subject = "penstock.support.results-value"
    old = result_schema(NAMESPACE, [REPLY])
    (why,) = breaks(subject, old | {"name": "Answer"}, old)
    assert why == "version 1: /name: name_mismatch (expected: penstock.support.Answer)"


def test_request_topics_are_read_by_us_and_all_others_by_users():
    assert level_of("penstock.support.requests-value") == "BACKWARD_TRANSITIVE"
    for role in ("stages", "results", "chunks"):
        assert level_of(f"penstock.support.{role}-value") == "FORWARD_TRANSITIVE"
    assert level_of("requests") == "FORWARD_TRANSITIVE"
