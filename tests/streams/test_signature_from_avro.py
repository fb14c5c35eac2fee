"""Fields from schemas that others wrote: read where they are like ours, else None."""

import pytest

from streams.signatures.avro import avro_fields
from streams.signatures.from_avro import AvroReader
from streams.signatures.parse import parse_fields
from streams.signatures.types import (
    BOOL,
    BYTES,
    DATE,
    FLOAT,
    INT,
    STR,
    Choice,
    DecimalOf,
    Limited,
    ListOf,
    Maybe,
    OneOf,
)

READ = [
    ("int", INT),
    ("float", FLOAT),
    ("bytes", BYTES),
    ({"type": "string"}, STR),
    ({"type": "string", "logicalType": "uuid"}, STR),
    ({"type": "long", "logicalType": "timestamp-millis"}, INT),
    ({"type": "int", "logicalType": "date"}, DATE),
    ({"type": "bytes", "logicalType": "decimal", "precision": 4}, DecimalOf(4, 0)),
    ({"type": "long", "allowed": [1, 2]}, Choice((1, 2))),
    (["null", "boolean"], Maybe(BOOL)),
    (["long", "string"], OneOf((STR, INT))),
    ({"type": "double", "minimum": 0, "maximum": True}, Limited(FLOAT, 0)),
    ({"type": "string", "pattern": "("}, STR),
    ({"type": "string", "pattern": r"\w{1000}"}, STR),
    ({"type": "double", "minimum": "much"}, FLOAT),
    ({"type": "array", "items": "string", "minItems": 1}, Limited(ListOf(STR), 1)),
]
FOREIGN = [
    "Nowhere",
    "null",
    ["null"],
    ["int", "long"],
    ["string", {"type": "fixed", "name": "F", "size": 2}],
    {"type": "fixed", "name": "F", "size": 2},
    {"type": "enum", "name": "E", "symbols": ["A"]},
    {"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["A"]}},
    {"type": "array", "items": "string", "tuple": "list[str]"},
    {"type": "array", "items": "string", "tuple": "nope ->"},
    {"type": "array"},
    {"type": "record", "name": "R", "fields": [{"name": "a", "type": "Nowhere"}]},
    5,
]


@pytest.mark.parametrize(("avro", "kind"), READ)
def test_a_type_like_ours_is_read_as_ours(avro, kind):
    assert AvroReader().type(avro) == kind


@pytest.mark.parametrize("avro", FOREIGN)
def test_a_type_of_another_kind_is_none(avro):
    assert AvroReader().type(avro) is None
    assert AvroReader().field({"name": "a", "type": avro}) is None


@pytest.mark.parametrize(
    ("avro", "default"),
    [
        ({"type": "int", "logicalType": "date"}, "tomorrow"),
        ({"type": "int", "logicalType": "date"}, 10**9),
        ({"type": "array", "items": "string", "tuple": "tuple[str, str]"}, ["x"]),
        ({"type": "array", "items": "string"}, 5),
        (["long", "string"], [5]),
        ("bytes", 5),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4}, "日"),
    ],
)
def test_a_default_that_is_none_makes_its_field_another_s(avro, default):
    field = {"name": "a", "type": avro, "default": default}
    assert AvroReader().field(field) is None


def test_a_record_is_known_by_its_name_once_it_was_read():
    reader = AvroReader()
    fields = [{"name": "sku", "type": "string"}]
    line = {"type": "record", "name": "Line", "namespace": "x", "fields": fields}
    first = reader.type(line)
    assert reader.type("x.Line") == first
    assert reader.type({"type": "array", "items": "x.Line"}) == ListOf(first)


@pytest.mark.parametrize(
    "text",
    [
        "a: str | int = 5",
        "a: bool | date = '2026-02-28'",
        "a: bool | date | None = True",
        "a: list[datetime] = ['2026-02-28T12:00:00Z']",
        "a: tuple[str, float] = ['x', 1]",
        "a: dict[str, Decimal[4, 2]] = {'x': '-1.5'}",
        "a: list[str | int, 1..] = ['x', 5]",
        "a: bytes | None = '/w=='",
    ],
)
def test_a_default_comes_back_from_its_schema(text):
    (declared,) = parse_fields(text).inputs
    field = declared.typed(None)
    assert AvroReader().field(avro_fields([field])[0]) == field
