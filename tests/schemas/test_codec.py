"""The codec reads Confluent's two wire formats, and calls every bad byte by name."""

import contextlib
import io
import uuid
from datetime import date
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import ParsedSchema, decode, encode, frame, schema_ref
from schemas.envelopes import request_schema
from schemas.errors import (
    DecodeError,
    EmptyPayloadError,
    EncodeError,
    MagicByteError,
    MalformedError,
    OversizeError,
    TrailingBytesError,
    TruncatedError,
)

LIMIT = 10_000
GUID = uuid.UUID("12345678-1234-5678-1234-567812345678")

REQUEST = ParsedSchema.of(
    request_schema(
        "penstock.support",
        [
            {"name": "ticket", "type": "string"},
            {"name": "scores", "type": {"type": "array", "items": "double"}},
            {"name": "tags", "type": {"type": "map", "values": ["null", "long"]}},
            {"name": "urgent", "type": "boolean", "default": False},
        ],
    ),
    subject="penstock.support.requests-value",
)
VALUE: dict[str, Any] = {
    "request_id": "r-1",
    "inputs": {
        "ticket": "Kafka läuft über",
        "scores": [0.5, 1.5],
        "tags": {"a": 1, "b": None},
        "urgent": True,
    },
    "session_id": "s-1",
    "pipeline": "support",
    "pipeline_version": 3,
    "deadline_ms": 1_700_000_000_000,
    "priority": -1,
    "tenant": None,
    "mode": "NORMAL",
    "options": {"k": "v"},
}
BODY = encode(REQUEST, VALUE)
PAYLOAD = frame(REQUEST.id, BODY)


def schema_of(kind: Any) -> ParsedSchema:
    record = {"type": "record", "name": "R", "fields": [{"name": "x", "type": kind}]}
    return ParsedSchema.of(record, subject="r-value")


def read(payload: bytes, schema: ParsedSchema = REQUEST, start: int = 5) -> Any:
    return decode(payload, start=start, schema=schema, limit_bytes=LIMIT)


def test_what_was_encoded_decodes_to_itself():
    assert read(PAYLOAD) == VALUE


def test_the_bytes_are_confluents_and_avros():
    # Worked out by hand from the Avro specification: they may never change.
    schema = schema_of(["null", "string"])
    body = encode(schema, {"x": "hé"})
    assert body == bytes.fromhex("02 06 68 c3 a9")
    assert frame(0x01020304, body) == bytes.fromhex("00 01020304 02 06 68 c3 a9")


def test_the_prefix_holds_the_id():
    assert schema_ref(PAYLOAD) == (REQUEST.id, 5)
    assert schema_ref(PAYLOAD, [("other", b"\x01")]) == (REQUEST.id, 5)


def test_a_header_holds_guid_or_id_and_the_value_is_the_body():
    guid = [("__value_schema_id", b"\x01" + GUID.bytes)]
    number = [("__value_schema_id", b"\x00\x00\x00\x00\x07")]
    assert schema_ref(BODY, guid) == (str(GUID), 0)
    assert schema_ref(BODY, number) == (7, 0)
    assert read(BODY, start=0) == VALUE


@pytest.mark.parametrize(
    "header", [b"", None, b"\x00\x00", b"\x01" + b"x" * 15, b"\x02" + b"x" * 16]
)
def test_a_header_that_is_no_schema_id_is_malformed(header):
    with pytest.raises(MalformedError, match="__value_schema_id"):
        schema_ref(BODY, [("__value_schema_id", header)])


@pytest.mark.parametrize("payload", [None, b""])
def test_no_value_is_empty(payload):
    with pytest.raises(EmptyPayloadError):
        schema_ref(payload)


def test_another_first_byte_is_no_format_of_ours():
    with pytest.raises(MagicByteError) as caught:
        schema_ref(b"{}")
    assert caught.value.first_byte == ord("{")


def test_a_cut_id_is_truncated():
    with pytest.raises(TruncatedError):
        schema_ref(b"\x00\x00\x01")


def test_size_is_checked_before_anything_is_decoded():
    junk = b"\xff" * (LIMIT + 1)
    with pytest.raises(OversizeError) as caught:
        read(junk)
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (LIMIT + 1, LIMIT)


def test_a_record_of_exactly_the_limit_is_decoded():
    assert decode(PAYLOAD, start=5, schema=REQUEST, limit_bytes=len(PAYLOAD)) == VALUE


def test_every_cut_is_truncated():
    for size in range(5, len(PAYLOAD)):
        with pytest.raises(TruncatedError):
            read(PAYLOAD[:size])


def test_bytes_behind_the_record_are_an_error():
    with pytest.raises(TrailingBytesError) as caught:
        read(PAYLOAD + b"\x00\x01")
    assert caught.value.left_bytes == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("string", b"\x04\xff\xfe", id="no UTF-8"),
        pytest.param(["null", "string"], b"\x08", id="no such branch"),
        pytest.param(
            {"type": "enum", "name": "E", "symbols": ["A"]}, b"\x08", id="no symbol"
        ),
        pytest.param(
            {"type": "long", "logicalType": "timestamp-millis"},
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            id="no such year",
        ),
        pytest.param({"type": "string", "logicalType": "uuid"}, b"\x02a", id="no UUID"),
    ],
)
def test_bytes_that_contradict_their_schema_are_malformed(kind, body):
    with pytest.raises(MalformedError):
        read(body, schema_of(kind), start=0)


def test_only_records_are_records():
    with pytest.raises(MalformedError, match="str, not a record"):
        read(b"\x02a", ParsedSchema.of('"string"'), start=0)


@pytest.mark.parametrize(
    "kind",
    [
        "string",
        "bytes",
        {"type": "array", "items": "long"},
        {"type": "map", "values": "long"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "length",
    [b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\xfe\xff\xff\xff\x0f", b"\x01"],
    ids=["2^63", "2^31", "-1"],
)
def test_a_huge_declared_length_allocates_nothing(kind, length):
    with pytest.raises(DecodeError):
        read(length + b"\x02", schema_of(kind), start=0)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_decode_errors(body):
    with contextlib.suppress(DecodeError):
        read(body, start=0)


FLIPS = st.tuples(st.integers(5, len(PAYLOAD) - 1), st.integers(1, 255))


@pytest.mark.parametrize("name", ["schemaless_reader", "schemaless_writer"])
def test_no_memory_here_is_no_fault_of_the_record(monkeypatch, name):
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(fastavro, name, fail)
    with pytest.raises(MemoryError):
        read(encode(schema_of("bytes"), {"x": b""}), schema_of("bytes"), start=0)


@given(st.lists(FLIPS, min_size=1), st.integers(6, len(PAYLOAD)))
def test_a_damaged_record_is_another_record_or_a_decode_error(flips, size):
    damaged = bytearray(PAYLOAD)
    for at, bits in flips:
        damaged[at] ^= bits
    with contextlib.suppress(DecodeError):
        assert read(bytes(damaged[:size])).keys() == VALUE.keys()


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": None},
        {"request_id": 7},
        {"priority": "x"},
        {"priority": 2**70},
        {"mode": "\ud800"},
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_names_subject_and_field(wrong):
    with pytest.raises(EncodeError, match=f": {next(iter(wrong))}: ") as caught:
        encode(REQUEST, VALUE | wrong)
    assert caught.value.subject == "penstock.support.requests-value"


@pytest.mark.parametrize("schema", [REQUEST, schema_of("bytes")], ids=["ours", "any"])
def test_what_is_no_record_cannot_be_encoded(schema):
    with pytest.raises(EncodeError):
        encode(schema, [])  # type: ignore[arg-type]  # what a caller's bug passes


def test_types_that_we_do_not_use_are_written_too():
    assert encode(schema_of("bytes"), {"x": b"ab"}) == b"\x04ab"


def test_a_tuple_in_a_union_is_a_value_and_names_no_branch():
    pair = {"type": "array", "items": ["string", "long"]}
    fields = [
        {"name": "pair", "type": ["null", pair]},
        # Of a logical type, so that fastavro writes it and not our own writer.
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    ]
    schema = ParsedSchema.of({"type": "record", "name": "R", "fields": fields})
    day = date(2026, 2, 28)
    body = encode(schema, {"pair": ("a", 1), "day": day})
    assert fastavro.schemaless_reader(io.BytesIO(body), schema.parsed) == {
        "pair": ["a", 1],
        "day": day,
    }


def test_what_is_left_out_takes_the_default_of_the_schema():
    value = {"request_id": "r", "inputs": {"ticket": "t", "scores": [], "tags": {}}}
    decoded = read(frame(1, encode(REQUEST, value)))
    assert decoded["mode"] == "NORMAL"
    assert decoded["inputs"]["urgent"] is False


def test_a_reader_of_its_own_reads_our_bytes():
    reader = fastavro.parse_schema(
        {
            "type": "record",
            "name": "Request",
            "fields": [{"name": "request_id", "type": "string"}],
        }
    )
    assert fastavro.schemaless_reader(io.BytesIO(BODY), REQUEST.parsed, reader) == {
        "request_id": "r-1"
    }


def test_the_id_of_another_registry_is_kept():
    assert ParsedSchema.of('"string"', ref=100_001).id == 100_001
