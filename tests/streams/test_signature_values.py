"""Values of fields: what is checked, what is converted, and what Avro and DSPy see."""

import math

import dspy
import fastavro
import pytest

from streams.errors import ConfigError
from streams.signatures.avro import avro_fields, avro_type
from streams.signatures.fitting import fits
from streams.signatures.parse import parse_fields, parse_signature
from streams.signatures.to_dspy import dspy_signature, python_type
from streams.signatures.types import HISTORY
from streams.signatures.validate import Validator, default_of, sentence


def fields_of(text):
    reading = parse_fields(text)
    assert reading.problems == ()
    return [declared.typed(None) for declared in reading.inputs]


def type_of(text):
    return fields_of(f"a: {text}")[0].type


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("str", "héllo 👋"),
        ("str", ""),
        ("int", 2**63 - 1),
        ("int", -(2**63)),
        ("float", 1.5),
        ("float", -0.0),
        ("bool", False),
        ("list[str]", ["a"]),
        ("dict[str, int]", {"ä": 1}),
        ("int | None", None),
        ("int | None", 1),
        ("Literal['a', 'b']", "b"),
        ("Literal[1, 2]", 2),
    ],
)
def test_a_value_of_its_type_passes_unchanged(kind, value):
    assert Validator(fields_of(f"a: {kind}"))({"a": value}) == ({"a": value}, [])


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("str", 1, "expected str, got int"),
        ("str", None, "expected str, got None"),
        ("str", b"x", "expected str, got bytes"),
        ("str", "\ud800", "expected Unicode text, got a lone surrogate"),
        ("int", True, "expected int, got bool"),
        ("int", 1.0, "expected int, got float"),
        ("int", "1", "expected int, got str"),
        ("int", 2**63, "expected a whole number of 64 bits, got a larger one"),
        ("float", "1.5", "expected float, got str"),
        ("float", True, "expected float, got bool"),
        ("float", math.nan, "expected a finite number, got nan"),
        ("float", -math.inf, "expected a finite number, got -inf"),
        ("float", 2**53 + 1, "expected float, got a whole number that no float equals"),
        ("bool", 1, "expected bool, got int"),
        ("bool", "true", "expected bool, got str"),
        ("Literal['a', 'b']", "c", "expected one of 'a', 'b', got another"),
        ("Literal['a', 'b']", ["a"], "expected one of 'a', 'b', got list"),
        ("Literal[1, 2]", True, "expected one of 1, 2, got bool"),
        ("list[str]", ("a",), "expected list[str], got tuple"),
        ("list[list[int]]", [[1], [2, "x"]], "expected int, got str at [1][1]"),
        ("dict[str, int]", [], "expected dict[str, int], got list"),
        ("dict[str, int]", {"k": "x"}, "expected int, got str at ['k']"),
        ("dict[str, int]", {1: 1}, "expected str, got int at [1]"),
        ("str | None", 1, "expected str, got int"),
    ],
)
def test_a_value_of_another_type_is_refused_without_quoting_it(kind, value, why):
    assert Validator(fields_of(f"a: {kind}"))({"a": value}) == ({}, [("a", why)])


def test_a_whole_number_becomes_a_float_where_one_is_declared():
    values, _ = Validator(fields_of("a: list[float]"))({"a": [1, 2**53]})
    assert [type(v) for v in values["a"]] == [float, float]


def test_missing_values_take_their_defaults_or_are_a_problem():
    validator = Validator(fields_of("a: str, b: int = 3, c: str | None"))
    assert validator({}) == ({"b": 3, "c": None}, [("a", "is missing")])


def test_every_problem_is_reported():
    _, problems = Validator(fields_of("a: str, b: int, c: bool"))({"a": 1, "b": "x"})
    assert sentence(problems) == (
        "a: expected str, got int; b: expected int, got str; c: is missing"
    )


def test_unknown_values_are_left_out_and_counted():
    validator = Validator(fields_of("a: str"))
    sent = {"a": "x", "b": 1, "c": None}
    assert validator(sent) == ({"a": "x"}, [])
    assert validator.unknown(sent) == 2


def test_lists_and_dicts_are_shared_with_nobody():
    validator = Validator(fields_of("a: list[str] = ['x'], b: dict[str, int]"))
    sent = {"b": {"k": 1}}
    first, _ = validator(sent)
    first["a"].append("y")
    first["b"]["l"] = 2
    assert validator(sent) == ({"a": ["x"], "b": {"k": 1}}, [])


def test_a_history_cannot_be_sent():
    (history, _) = parse_signature("history, a -> b").inputs
    _, problems = Validator([history.typed(None)])({"history": []})
    assert problems == [
        ("history", "expected nothing: a session makes its history, got a value")
    ]


@pytest.mark.parametrize(
    ("made", "wanted", "fit"),
    [
        ("str", "str", True),
        ("str", "int", False),
        ("int", "float", True),
        ("float", "int", False),
        ("bool", "int", False),
        ("Literal['a']", "str", True),
        ("str", "Literal['a']", False),
        ("Literal['a']", "Literal['a', 'b']", True),
        ("Literal['a', 'c']", "Literal['a', 'b']", False),
        ("Literal[1]", "float", True),
        ("Literal[1]", "str", False),
        ("str", "str | None", True),
        ("str | None", "str | None", True),
        ("int | None", "float | None", True),
        ("str | None", "str", False),
        ("list[int]", "list[float]", True),
        ("list[int]", "list[str]", False),
        ("dict[str, int]", "dict[str, float]", True),
        ("dict[str, int]", "list[int]", False),
    ],
)
def test_a_value_fits_where_nothing_can_go_wrong(made, wanted, fit):
    assert fits(type_of(made), type_of(wanted)) is fit


AVRO = [
    ("a: str", {"name": "a", "type": "string"}),
    ("a: int 'how many'", {"name": "a", "type": "long", "doc": "how many"}),
    ("a: float = 1", {"name": "a", "type": "double", "default": 1.0}),
    ("a: bool = False", {"name": "a", "type": "boolean", "default": False}),
    (
        "a: Literal['x', 'y'] = 'y'",
        {
            "name": "a",
            "type": {"type": "string", "allowed": ["x", "y"]},
            "default": "y",
        },
    ),
    ("a: Literal[1]", {"name": "a", "type": {"type": "long", "allowed": [1]}}),
    ("a: list[int]", {"name": "a", "type": {"type": "array", "items": "long"}}),
    ("a: dict[str, str]", {"name": "a", "type": {"type": "map", "values": "string"}}),
    ("a: str | None", {"name": "a", "type": ["null", "string"], "default": None}),
    ("a: str | None = 'x'", {"name": "a", "type": ["string", "null"], "default": "x"}),
    (
        "a: list[str | None] = []",
        {
            "name": "a",
            "type": {"type": "array", "items": ["null", "string"]},
            "default": [],
        },
    ),
]


@pytest.mark.parametrize(("text", "field"), AVRO)
def test_every_field_has_its_avro_field(text, field):
    assert avro_fields(fields_of(text)) == [field]
    fastavro.parse_schema({"type": "record", "name": "R", "fields": [field]})


def test_a_history_is_not_sent_but_has_a_type():
    inputs = [d.typed(None) for d in parse_signature("history, a -> b").inputs]
    assert [f["name"] for f in avro_fields(inputs)] == ["a"]
    assert avro_type(HISTORY)["items"] == {"type": "map", "values": "string"}
    assert str(HISTORY) == "History"


def test_defaults_are_copied_only_where_they_can_be_changed():
    text, tags = fields_of("a: str = 'x', b: list[str] = ['x']")
    assert default_of(text) is text.default
    assert default_of(tags) is not tags.default


def both(text):
    reading = parse_signature(text)
    return (
        [d.typed(None) for d in reading.inputs],
        [d.typed(None) for d in reading.outputs],
    )


def test_dspy_gets_python_types_descriptions_and_instructions():
    inputs, outputs = both(
        "ticket: str 'the text', tags: list[str], scores: dict[str, float], history"
        " -> category: Literal['a', 'b'] 'the kind', note: str | None"
    )
    signature = dspy_signature(inputs, outputs, "Sort it.")
    assert signature.instructions == "Sort it."
    annotations = {n: f.annotation for n, f in signature.fields.items()}
    assert annotations == {
        "ticket": str,
        "tags": list[str],
        "scores": dict[str, float],
        "history": dspy.History,
        "category": python_type(outputs[0].type),
        "note": str | None,
    }
    assert signature.fields["ticket"].json_schema_extra["desc"] == "the text"
    assert signature.fields["category"].json_schema_extra["desc"] == "the kind"
    assert list(signature.output_fields) == ["category", "note"]


def test_without_instructions_dspy_gets_its_own_sentence():
    inputs, outputs = both("a, b -> c, d")
    assert (
        dspy_signature(inputs, outputs).instructions
        == dspy.Signature("a, b -> c, d").instructions
    )


def test_names_that_dspy_uses_itself_are_refused_all_at_once():
    inputs, outputs = both("json, config, a -> instructions, a")
    with pytest.raises(ConfigError) as caught:
        dspy_signature(inputs, outputs)
    assert caught.value.problems == (
        "a is both an input and an output",
        "config is a name that DSPy uses itself; rename the field",
        "instructions is a name that DSPy uses itself; rename the field",
        "json is a name that DSPy uses itself; rename the field",
    )
