"""A schema that could harm its reader is refused before anything is read with it."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.compatibility import check_strictly
from schemas.errors import InvalidSchemaError
from schemas.limits import MAX_HEIGHT, parse


def record(*types: Any, name: str = "R") -> dict[str, Any]:
    fields = [{"name": f"f{n}", "type": kind} for n, kind in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields}


def nested(levels: int) -> Any:
    schema: Any = "int"
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


FIXED = {"type": "fixed", "name": "F"}
EMPTY = record(name="Empty")


@pytest.mark.parametrize(
    "schema",
    [
        record("int", {"type": "map", "values": ["null", "string"]}),
        record(record("int", name="In"), "In", ["null", "In"]),
        record({"type": "enum", "name": "E", "symbols": ["A"]}, "E"),
        record(FIXED | {"size": 16}, "F"),
        record({"type": "string", "allowed": ["a"], "size": "any"}),
        record(["null", EMPTY], ["null", "Empty"]),
        FIXED | {"size": 8, "logicalType": "decimal", "precision": 10},
        {"type": "error", "name": "E", "fields": [{"name": "x", "type": "int"}]},
        nested(MAX_HEIGHT - 1),
        "string",
    ],
    ids=str,
)
def test_ordinary_schemas_pass(schema):
    parse(schema)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (record(["null", "R"]), "R contains itself"),
        (record({"type": "array", "items": "R"}), "R contains itself"),
        (record(["null", record(["null", "R"], name="In")]), "R contains itself"),
        (record({"type": "string", "name": "R"}, ["null", "R"]), "contains itself"),
        (record("null"), "null takes no bytes"),
        (record({"type": "null", "name": "x"}), "null takes no bytes"),
        (record({"type": "array", "items": "null"}), "null takes no bytes"),
        (record(EMPTY), "Empty takes no bytes"),
        (record(["null", EMPTY], {"type": "array", "items": "Empty"}), "Empty takes"),
        (record(FIXED | {"size": 0}), "size 0"),
        (record(FIXED | {"size": "1"}), "size '1'"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4}, "a decimal of"),
        (
            FIXED | {"size": 65, "logicalType": "decimal", "precision": 4},
            "a decimal of",
        ),
        (nested(MAX_HEIGHT), "nested types"),
        (nested(300), "levels deep"),
        ({"__fastavro_parsed": True} | record("int"), "__fastavro_parsed"),
        (record("int", record("Nowhere", name="In")), "Nowhere"),
        ({"type": "record", "name": "R"} | {"fields": 3}, "TypeError"),
        ({}, "KeyError"),
        (7, "TypeError"),
    ],
    ids=str,
)
def test_harmful_schemas_are_refused(schema, why):
    with pytest.raises(InvalidSchemaError, match=why):
        parse(schema)


KEYS = st.sampled_from(
    ("type", "name", "fields", "items", "values", "symbols", "size", "logicalType")
)
WORDS = st.sampled_from(
    ("record", "enum", "fixed", "array", "map", "null", "string", "decimal", "R")
)
JSON = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(JSON)
def test_any_json_is_a_schema_or_an_invalid_one(value):
    for check in (parse, lambda it: check_strictly(json.dumps(it))):
        with contextlib.suppress(InvalidSchemaError):
            check(value)


def test_height_counts_through_names():
    levels = [record("int", name="R0")]
    levels += [record(f"R{n}", name=f"R{n + 1}") for n in range(MAX_HEIGHT)]
    with pytest.raises(InvalidSchemaError, match="nested types"):
        parse(levels)
    assert json.dumps(parse(levels[: MAX_HEIGHT - 3]))
