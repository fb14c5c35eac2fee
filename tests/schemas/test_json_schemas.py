"""JSON Schemas are schemas, and say of a value what a pipeline says of it."""

from datetime import datetime

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from schemas.json_schemas import json_schema
from schemas.shapes import request_schema, result_schema, stage_result_schema
from streams.json_form import json_form
from streams.signatures.avro import avro_fields
from streams.signatures.parse import parse_signature
from streams.signatures.positions import tuple_positions
from streams.signatures.types import Field
from streams.signatures.validate import Validator
from tests.streams.test_signature_properties import types, values_of

steadily = settings(max_examples=60)

FORMATS = FormatChecker(["date"])


@FormatChecker.checks(FORMATS, "date-time", raises=ValueError)
def _is_moment(said: object) -> bool:
    return not isinstance(said, str) or datetime.fromisoformat(said).tzinfo is not None


def fields_of(text):
    reading = parse_signature(f"{text} -> x: str")
    assert not reading.problems
    return reading.inputs


def schema_of(fields):
    made = json_schema(request_schema("a.b", avro_fields(fields)), tuple_positions)
    Draft202012Validator.check_schema(made)
    return made


def accepts(schema, inputs):
    judge = Draft202012Validator(schema, format_checker=FORMATS)
    return judge.is_valid({"request_id": "r", "inputs": inputs})


def stored(value):
    """Return *value* as it is in JSON."""
    return orjson.loads(orjson.dumps(value, default=json_form))


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-10, 10).filter(lambda number: not number.is_integer())
    | st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=12)
    | st.sampled_from(["AAAA", "AAA=", "AAB=", "2024-02-30", "1.50", "-007", "1e3"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=6,
)


def judged(kind):
    """Say whether a JSON Schema can tell everything of *kind*."""
    # No schema of ours has the bounds of exact numbers: docs/decisions/0019.
    return "Decimal[9, 2, " not in str(kind)


@steadily
@given(types.flatmap(lambda kind: st.tuples(st.just(kind), values_of(kind))))
def test_what_a_pipeline_takes_its_schema_takes(pair):
    kind, value = pair
    assume(judged(kind))
    schema = schema_of([Field(name="a", type=kind)])
    assert accepts(schema, {"a": stored(value)})


@steadily
@given(types, ANYTHING)
def test_any_json_is_refused_by_both_or_by_neither(kind, value):
    assume(judged(kind))
    field = Field(name="a", type=kind)
    # A float is never a whole number here: beyond 2**53 schemas cannot tell them apart.
    _, problems = Validator([field])({"a": value})
    assert accepts(schema_of([field]), {"a": value}) == (not problems), problems


@steadily
@given(st.data(), types)
def test_a_default_is_shown_as_json_holds_it(data, kind):
    default = data.draw(values_of(kind))
    field = Field(name="a", type=kind, required=False, default=default)
    schema = schema_of([field])
    inputs = schema["$defs"]["Inputs"]
    assert inputs["properties"]["a"]["default"] == stored(default)
    assert "required" not in inputs


@pytest.mark.parametrize(
    ("text", "taken", "refused"),
    [
        ("a: bytes[2..4]", ["AAA=", "AAAA", "AAAAAA=="], ["", "AA==", "AAAAAAA="]),
        ("a: bytes[..1]", ["", "AA=="], ["AB==", "AAA=", "A"]),
        ("a: bytes[3..]", ["AAAA", "AAAAAA=="], ["AAA=", "AAAA="]),
        ("a: Decimal[5, 2]", ["1.50", "1.5000", "-999.99", 7, "007"], ["1e3", "1.001"]),
        ("a: Decimal[5, 2]", [-999, "0"], ["1000", 1000, 1.5, "1.", ".5", "+1"]),
        ("a: Decimal[3, 3]", ["0.125", "0"], ["1", 1, "0.1251"]),
        ("a: date", ["2024-02-29"], ["2023-02-29", "20240229", 3]),
        ("a: datetime", ["2024-01-01T00:00:00Z"], ["2024-01-01T00:00:00", "now"]),
        ("a: tuple[str, int[0..]]", [["a", 1]], [["a"], ["a", -1], [1, "a"]]),
        ("a: tuple[int, ..., 1..2]", [[1], [1, 2]], [[], [1, 2, 3], ["a"], 1]),
        ("a: str['[a-z]+']", ["abc"], ["abc1", "", "A"]),
        ("a: Literal[1, 2]", [1], [True, 3, "1"]),
        (
            "a: Image",
            ["https://x.y/z.png", "data:image/png;base64,AAA="],
            ["/etc/passwd", "http://", "http://x y", "data:image/png;base64,AAA"],
        ),
        ("a: Code['python']", ["x = 1", ""], [1]),
        (
            "a: Tool",
            [{"name": "f"}, {"name": "f", "args": '{"a": {"type": "string"}}'}],
            [{}, {"name": ""}, {"name": "a b"}, {"name": "f", "args": {}}, "f"],
        ),
        (
            "a: ToolCalls",
            [{"tool_calls": []}, {"tool_calls": [{"name": "f", "args": "{}"}]}],
            [{}, [], {"tool_calls": [{}]}, {"tool_calls": [{"name": "f", "args": 1}]}],
        ),
        ("a: int", [2**63 - 1], [2**63, True, 0.5]),
        ("a: dict[str, int, 1..2]", [{"k": 1}], [{}, {"k": "v"}]),
    ],
)
def test_each_type_has_its_json(text, taken, refused):
    fields = fields_of(text)
    schema, check = schema_of(fields), Validator(fields)
    for value in taken:
        assert accepts(schema, {"a": value}), value
        assert check({"a": value})[1] == [], value
    for value in refused:
        assert not accepts(schema, {"a": value}), value
        assert check({"a": value})[1], value


def test_what_a_signature_says_of_a_field_stands_in_the_schema():
    schema = schema_of(fields_of('tier: Literal["free", "pro"] "The plan" = "free"'))
    assert schema["title"] == "a.b.Request"
    assert schema["$defs"]["Inputs"]["properties"]["tier"] == {
        "type": "string",
        "enum": ["free", "pro"],
        "description": "The plan",
        "default": "free",
    }
    assert schema["required"] == ["request_id", "inputs"]


def test_stages_and_declared_records_are_definitions_under_names_of_their_own():
    reply = avro_fields(fields_of("reply: str"))
    made = json_schema(stage_result_schema("a.b", {"Error": reply}))
    Draft202012Validator.check_schema(made)
    assert {"Error", "stages.Error", "StageOutputs", "Usage"} <= set(made["$defs"])
    result = json_schema(result_schema("a.b", reply))
    assert result["properties"]["outputs"]["anyOf"][1] == {"$ref": "#/$defs/Outputs"}
