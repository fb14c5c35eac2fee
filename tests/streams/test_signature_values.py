"""Values of fields: what is checked, what is converted, and what Avro and DSPy see."""

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal

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

EXACT = "Decimal[4, 2]"
CAPPED = "Decimal[4, 2, ..0.3]"


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
        ("bytes", b"\x00\xff"),
        ("date", date(2026, 2, 28)),
        ("datetime", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        ("Decimal[4, 2]", Decimal("-12.50")),
        ("tuple[str, int]", ("a", 1)),
        ("str | int", 1),
        ("str | int", "1"),
        ("float[0..1]", 1.0),
        ("str[2..2]", "ab"),
        ("str['a+']", "aaa"),
        ("list[int, 1..]", [1]),
        ("dict[str, int, ..1]", {"a": 1}),
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
        ("bytes", "not base64", "expected bytes, or base64, got another text"),
        ("bytes", [1], "expected bytes, got list"),
        ("date", datetime(2026, 2, 28, tzinfo=UTC), "expected date, got datetime"),
        ("date", 20_000, "expected date, got int"),
        ("datetime", date(2026, 2, 28), "expected datetime, got date"),
        (
            "datetime",
            datetime(2026, 2, 28),  # noqa: DTZ001 - that is the point
            "expected datetime with a time zone, got one without",
        ),
        ("Decimal[4, 2]", 1.5, "expected Decimal[4, 2], got float"),
        ("Decimal[4, 2]", True, "expected Decimal[4, 2], got bool"),
        (
            "Decimal[4, 2]",
            Decimal("1E+9999"),
            f"expected {EXACT}, got a larger number",
        ),
        (
            "Decimal[4, 2]",
            Decimal("1E-9999"),
            f"expected {EXACT}, got one with more places",
        ),
        (
            "Decimal[4, 2]",
            Decimal("NaN"),
            f"expected {EXACT}, in digits, got something else",
        ),
        ("tuple[str, ...]", "ab", "expected tuple[str, ...], got str"),
        ("tuple[str, ...]", ("a", 1), "expected str, got int at [1]"),
        (
            "tuple[int, ..., ..1]",
            [1, 2],
            "expected tuple[int, ..., ..1], got more than 1",
        ),
        ("tuple[str, int]", ["a"], "expected tuple[str, int], got 1 values"),
        ("tuple[str, int]", "ab", "expected tuple[str, int], got str"),
        ("tuple[str, int]", ["a", "b"], "expected int, got str at [1]"),
        ("str | int", 1.5, "expected str | int, got float"),
        ("str | int", True, "expected str | int, got bool"),
        ("str[..3] | int", "abcd", "expected str[..3], got more than 3"),
        ("float[0..1]", 1.5, "expected float[0..1], got more than 1"),
        ("float[0..1]", "x", "expected float, got str"),
        ("int[1..]", 0, "expected int[1..], got less than 1"),
        (
            "Decimal[4, 2, ..0.3]",
            "0.31",
            "expected Decimal[4, 2, ..0.3], got more than 0.3",
        ),
        ("str[1..]", "", "expected str[1..], got fewer than 1"),
        ("bytes[..1]", b"ab", "expected bytes[..1], got more than 1"),
        ("list[str, 2..]", ["a"], "expected list[str, 2..], got fewer than 2"),
        ("list[int[..9]]", [9, 10], "expected int[..9], got more than 9 at [1]"),
        ("str['a+']", "aab", "expected str['a+'], got a text of another pattern"),
        ("str['a+']", "aa\n", "expected str['a+'], got a text of another pattern"),
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


def test_values_of_no_field_are_kept_as_json_or_are_a_problem():
    validator = Validator(fields_of("a: str"), "keep")
    sent = {"a": "x", "day": date(2026, 2, 28), "at": time(12)}
    assert validator(sent) == (
        {"a": "x", "day": "2026-02-28"},
        [("at", "is of a type that cannot be kept")],
    )
    assert validator.unknown(sent) == 0


def test_values_of_no_field_are_named_where_they_are_rejected():
    validator = Validator(fields_of("a: str"), "reject")
    assert validator({"a": "x"}) == ({"a": "x"}, [])
    assert validator({"b": 1, "c": 2})[1] == [
        ("a", "is missing"),
        ("b", "belongs to no field"),
        ("c", "belongs to no field"),
    ]


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
        ("int[0..5]", "int[0..9]", True),
        ("int[0..9]", "int[0..5]", False),
        ("int[0..]", "int", True),
        ("int", "int[0..]", False),
        ("int[0..1]", "float[0..1]", True),
        ("str['a']", "str['a']", True),
        ("str['a']", "str['b']", False),
        ("str[1..5]", "str | None", True),
        ("list[str, 1..5]", "list[str]", True),
        ("list[str[1..5]]", "list[str[..9]]", True),
        ("str | int", "str | int | bool", True),
        ("str | int", "str", False),
        ("int", "str | int", True),
        ("tuple[int, str]", "tuple[float, str]", True),
        ("tuple[int]", "tuple[int, int]", False),
        ("tuple[int, ...]", "tuple[float, ...]", True),
        ("tuple[int, ..., 1..3]", "tuple[int, ..., ..5]", True),
        ("tuple[int, ...]", "list[int]", False),
        ("list[int]", "tuple[int, ...]", False),
        ("tuple[int, int]", "tuple[int, ...]", False),
        ("Tool", "Tool", True),
        ("list[Tool, ..3]", "list[Tool]", True),
        ("Tool", "ToolCalls", False),
        ("ToolCalls", "dict[str, str]", False),
        ("Decimal[4, 2]", "Decimal[9, 4]", True),
        ("Decimal[9, 4]", "Decimal[9, 2]", False),
        ("date", "datetime", False),
    ],
)
def test_a_value_fits_where_nothing_can_go_wrong(made, wanted, fit):
    assert fits(type_of(made), type_of(wanted)) is fit


CONVERTED = [
    ("bytes", "aGk=", b"hi"),
    ("date", "2026-02-28", date(2026, 2, 28)),
    ("datetime", "2026-02-28T12:00Z", datetime(2026, 2, 28, 12, tzinfo=UTC)),
    (
        "datetime",
        "2026-02-28T00:00+01:00",
        datetime(2026, 2, 27, 23, tzinfo=UTC),
    ),
    ("Decimal[6, 2]", "1.5", Decimal("1.50")),
    ("Decimal[6, 2]", 3, Decimal("3.00")),
    ("Decimal[6, 2]", Decimal("1.5000"), Decimal("1.50")),
    ("Decimal[6, 2]", "-0.00", Decimal("0.00")),
    ("tuple[date, str]", ["2026-02-28", "x"], (date(2026, 2, 28), "x")),
    ("tuple[date, ...]", ["2026-02-28"], (date(2026, 2, 28),)),
    ("date | bool", "2026-02-28", date(2026, 2, 28)),
    ("float[0..1]", 1, 1.0),
]


@pytest.mark.parametrize(("kind", "sent", "seen"), CONVERTED)
def test_what_is_converted_loses_nothing(kind, sent, seen):
    values, problems = Validator(fields_of(f"a: {kind}"))({"a": sent})
    assert problems == []
    assert repr(values["a"]) == repr(seen)


AVRO = [
    (
        "a: date = '1970-01-02'",
        {"name": "a", "type": {"type": "int", "logicalType": "date"}, "default": 1},
    ),
    (
        "a: datetime = '1970-01-01T00:00:01Z'",
        {
            "name": "a",
            "type": {"type": "long", "logicalType": "timestamp-micros"},
            "default": 1_000_000,
        },
    ),
    (
        "a: Decimal[4, 2, 0..0.5] = '0.01'",
        {
            "name": "a",
            "type": {
                "type": "fixed",
                "name": "Decimal_4_2",
                "namespace": "types",
                "size": 2,
                "logicalType": "decimal",
                "precision": 4,
                "scale": 2,
            },
            "default": "\x00\x01",
        },
    ),
    ("a: bytes = '/w=='", {"name": "a", "type": "bytes", "default": "\xff"}),
    (
        "a: float[0..1]",
        {"name": "a", "type": {"type": "double", "minimum": 0.0, "maximum": 1.0}},
    ),
    (
        "a: str[..9, 'a+']",
        {"name": "a", "type": {"type": "string", "maxLength": 9, "pattern": "a+"}},
    ),
    (
        "a: list[int, 1..]",
        {"name": "a", "type": {"type": "array", "items": "long", "minItems": 1}},
    ),
    ("a: str | int = 5", {"name": "a", "type": ["long", "string"], "default": 5}),
    (
        "a: str | int | None = 5",
        {"name": "a", "type": ["long", "string", "null"], "default": 5},
    ),
    (
        "a: tuple[float, int]",
        {
            "name": "a",
            "type": {
                "type": "array",
                "items": ["long", "double"],
                "tuple": "tuple[float, int]",
            },
        },
    ),
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


def test_an_lm_is_told_of_bounds_and_given_text_for_what_json_has_no_form_for():
    inputs, outputs = both(
        "when: date, price: Decimal[8, 2, 0..] 'net'"
        " -> share: float[0..1], tags: list[str[1..9], 1..5] 'topics',"
        " at: datetime | None, code: str['[A-Z]+'], some: str | int[0..]"
    )
    signature = dspy_signature(inputs, outputs, "Sort it.")
    told = {n: f.json_schema_extra["desc"] for n, f in signature.fields.items()}
    assert told == {
        "when": "YYYY-MM-DD",
        "price": "net (a number with at most 2 digits behind the point; at least 0)",
        "share": "0 to 1",
        "tags": "topics (each: 1 to 9 characters; 1 to 5 items)",
        "at": "YYYY-MM-DDThh:mm:ssZ",
        "code": "matching [A-Z]+",
        "some": "at least 0",
    }
    annotations = {n: f.annotation for n, f in signature.fields.items()}
    assert annotations["when"] is annotations["price"] is str
    assert annotations["at"] == str | None
    assert annotations["some"] == str | int


@pytest.mark.parametrize(
    "kind",
    ["bytes", "list[bytes]", "dict[str, bytes | None]", "tuple[bytes[1..]]"],
)
def test_no_lm_is_given_bytes(kind):
    inputs, outputs = both(f"a: {kind} -> b")
    with pytest.raises(ConfigError) as caught:
        dspy_signature(inputs, outputs)
    assert caught.value.problems == ("a holds bytes, which no LM can read or write",)


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
