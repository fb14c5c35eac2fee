"""Signatures that are Python classes: what each says as text, or why it is refused."""

import sys
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Optional, Union

import dspy
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from streams.errors import ConfigError
from streams.signatures.canonical import fields_text, signature_text
from streams.signatures.constraints import anchored, whole
from streams.signatures.from_class import read_class, read_models
from streams.signatures.parse import parse_signature
from streams.signatures.patterns import compile_pattern
from streams.signatures.to_class import signature_class
from streams.signatures.types import BYTES, STR
from streams.signatures.types import Field as TypedField
from streams.user_code import UserCode
from tests.streams.test_signature_properties import declared, steadily


class Line(BaseModel):
    sku: str = Field(description="as on the label", pattern="^[A-Z]{2}$")
    count: int = Field(default=1, ge=1)


class Order(BaseModel):
    """What somebody wants."""

    lines: Annotated[list[Line], Field(min_length=1)]
    due: date | None = None


class Read(dspy.Signature):
    """Read an order.

    Every line of it counts.
    """

    mail: str = dspy.InputField(desc="what they wrote", max_length=20_000)
    seen = dspy.InputField()
    chat: dspy.History = dspy.InputField()
    order: Order = dspy.OutputField(desc="what is ordered")
    sure: float = dspy.OutputField(ge=0, le=1)


def test_a_class_of_dspys_says_what_a_text_can_say():
    reading = read_class(Read)
    assert reading.problems == ()
    assert signature_text(reading) == (
        "mail: str[..20000] 'what they wrote', seen, chat: History"
        " -> order: Order 'what is ordered', sure: float[0..1]"
    )
    assert reading.instructions == "Read an order.\n\nEvery line of it counts."
    order = reading.outputs[0].type
    assert fields_text(order.fields) == "lines: list[Line, 1..], due: date | None"
    line = order.fields[0].type.inner.item
    assert fields_text(line.fields) == (
        "sku: str['[A-Z]{2}'] 'as on the label', count: int[1..] = 1"
    )


def test_a_signature_made_of_a_text_reads_back_as_it():
    text = "question: str, context: list[str] -> answer: str, sure: float"
    reading = read_class(dspy.Signature(text))
    assert reading == parse_signature(text)
    assert reading.instructions == ""


def test_two_models_are_the_two_sides_of_a_signature():
    reading = read_models(Line, Order)
    assert reading.problems == ()
    assert signature_text(reading) == (
        "sku: str['[A-Z]{2}'] 'as on the label', count: int[1..] = 1"
        " -> lines: list[Line, 1..], due: date | None"
    )
    assert reading.instructions == "What somebody wants."


ANNOTATIONS = [
    (str, "str"),
    (int, "int"),
    (float, "float"),
    (bool, "bool"),
    (bytes, "bytes"),
    (date, "date"),
    (datetime, "datetime"),
    (pydantic.AwareDatetime, "datetime"),
    (Annotated[str, Field(max_length=9)], "str[..9]"),
    (Annotated[str, Field(min_length=1, max_length=9)], "str[1..9]"),
    (Annotated[int, Field(gt=0, lt=10)], "int[1..9]"),
    (Annotated[float, Field(ge=0.5, strict=True)], "float[0.5..]"),
    (Annotated[bytes, Field(max_length=3)], "bytes[..3]"),
    (Annotated[Decimal, Field(max_digits=9, decimal_places=2)], "Decimal[9, 2]"),
    (
        Annotated[Decimal, Field(max_digits=9, decimal_places=2, ge=Decimal("0.1"))],
        "Decimal[9, 2, 0.1..]",
    ),
    (Literal["a", "b"], "Literal['a', 'b']"),
    (Literal[1, 2], "Literal[1, 2]"),
    (list[str], "list[str]"),
    (Annotated[list[int], Field(max_length=3)], "list[int, ..3]"),
    (list[Annotated[int, Field(ge=1)]], "list[int[1..]]"),
    (dict[str, list[float]], "dict[str, list[float]]"),
    (tuple[str, int], "tuple[str, int]"),
    (tuple[str, ...], "tuple[str, ...]"),
    (Annotated[tuple[Line, ...], Field(max_length=3)], "tuple[Line, ..., ..3]"),
    (Optional[str], "str | None"),  # noqa: UP045 - the older way to write it
    (Union[str, int, None], "str | int | None"),  # noqa: UP007 - likewise
    (str | list[str], "str | list[str]"),
    (Annotated[int, Field(ge=1)] | None, "int[1..] | None"),
    (Line, "Line"),
    (list[Line] | None, "list[Line] | None"),
    (dspy.Image, "Image"),
    (list[dspy.Image], "list[Image]"),
    (dspy.Code["sql"], "Code['sql']"),
    (dspy.Code, "Code['python']"),
    (dspy.Tool, "Tool"),
    (list[dspy.Tool] | None, "list[Tool] | None"),
    (dspy.ToolCalls, "ToolCalls"),
]


def of(annotation, **said):
    """Return a class with one input of *annotation*."""
    fields = {
        "a": (annotation, dspy.InputField(**said)),
        "b": (str, dspy.OutputField()),
    }
    return dspy.make_signature(fields, "Do it.", "Small")


@pytest.mark.parametrize(("annotation", "text"), ANNOTATIONS, ids=str)
def test_an_annotation_means_what_its_text_says(annotation, text):
    reading = read_class(of(annotation))
    assert reading.problems == ()
    assert str(reading.inputs[0].type) == text


DEFAULTS = [
    (str, {"default": "x"}, "a: str = 'x'"),
    (int | None, {"default": None}, "a: int | None"),
    (int | None, {"default": 3}, "a: int | None = 3"),
    (list[str], {"default_factory": list}, "a: list[str] = []"),
    (dict[str, int], {"default_factory": dict}, "a: dict[str, int] = {}"),
    (date, {"default": date(2026, 2, 28)}, "a: date = '2026-02-28'"),
    (Line, {"default": Line(sku="AB")}, "a: Line = {'sku': 'AB', 'count': 1}"),
    (int | None, {"ge": 1, "default": 2}, "a: int[1..] | None = 2"),
    (
        dspy.Image,
        {"default": dspy.Image("https://a.example")},
        "a: Image = 'https://a.example'",
    ),
    (
        dspy.Tool,
        {"default": dspy.Tool(len, name="size", desc="How long.", args={})},
        "a: Tool = {'name': 'size', 'description': 'How long.', 'args': '{}'}",
    ),
]


@pytest.mark.parametrize(("annotation", "said", "text"), DEFAULTS)
def test_a_default_is_kept(annotation, said, text):
    reading = read_class(of(annotation, **said))
    assert reading.problems == ()
    assert fields_text(reading.inputs) == text


class Colour(Enum):
    RED = "red"


class Validated(BaseModel):
    a: str

    @pydantic.field_validator("a")
    @classmethod
    def shorter(cls, value):
        return value[:1]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: str


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)
    a: str


class Backtracking(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")
    a: str


class Renamed(BaseModel):
    a: str = Field(alias="b")


class Ring(BaseModel):
    rings: list["Ring"]


class small(BaseModel):  # noqa: N801 - a bad name is the point
    a: str


def another_line():
    class Line(BaseModel):
        a: str

    return Line


class Both(BaseModel):
    one: Line
    other: another_line()


REFUSED = [
    (Any, {}, "Small.a: say which type: Avro and an LM must both know it"),
    (list, {}, "Small.a: say of what: list[str]"),
    (set[str], {}, "Small.a: a set has no order to keep: write list[T]"),
    (dict[int, str], {}, "Small.a: say of what: dict[str, str]"),
    (complex, {}, "Small.a: complex is no type that a field can have"),
    (Colour, {}, "Small.a: Colour is an Enum: write Literal['a', 'b']"),
    (
        tuple[list[int], str],
        {},
        (
            "Small.a: a tuple holds plain values, not list[int]: write a record of "
            "`types:`"
        ),
    ),
    (str | date, {}, "Small.a: str and date look the same in JSON"),
    (str | Any, {}, "Small.a: say which type: Avro and an LM must both know it"),
    (
        Decimal,
        {},
        (
            "Small.a: a Decimal says its digits, and how many are behind the point: "
            "Field(max_digits=12, decimal_places=2)"
        ),
    ),
    (Literal["a", 1], {}, "Small.a: Literal takes texts only, or whole numbers only"),
    (dspy.Tool | str, {}, "Small.a: Tool shares its place with nothing but None"),
    (dspy.ToolCallResults, {}, "Small.a: declare a record of `types:` with what you"),
    (dspy.Audio, {}, "Small.a: an LM is given texts and images"),
    (list[dspy.History], {}, "Small.a[]: a history is an input of its own"),
    (pydantic.NaiveDatetime, {}, "Small.a: NaiveDatetime is no type that a field can"),
    (float, {"gt": 0}, "Small.a: both bounds belong to a range: write ge and le"),
    (int, {"multiple_of": 2}, "Small.a: multiple_of has no equal in a signature"),
    (int, {"ge": 3, "le": 1}, "Small.a: a range begins with its lower bound"),
    (str, {"ge": 3}, "Small.a: ge and le are of numbers, not of str"),
    (int, {"max_length": 3, "ge": 1}, "Small.a: is bounded in its value and in its"),
    (str | int, {"max_length": 3}, "Small.a: bounds are of one type, not of a union"),
    (bool, {"ge": 0}, "Small.a: ge and le are of numbers, not of bool"),
    (Backtracking, {}, "Small.a: regex_engine has no equal in a signature"),
    (str, {"pattern": "[a-z]{210}"}, "Small.a: patterns up to here are too large"),
    (Annotated[str, "a note"], {}, "Small.a: str in Annotated has no equal in a"),
    (
        Annotated[str, pydantic.AfterValidator(str.upper)],
        {},
        "Small.a: func has no equal in a signature",
    ),
    (str, {"default": 3}, "Small.a: default: expected str, got int"),
    (str, {"default": None}, "Small.a: default: expected str, got None"),
    (list[str], {"default_factory": lambda: ["x"]}, "Small.a: a default that is made"),
    (str, {"alias": "other"}, "Small.a: alias has no equal in a signature"),
    (dspy.History, {"desc": "x"}, "Small.a: history is the session's: a type and no"),
    (Validated, {}, "Small.a: its validators would not run: write a `validate` stage"),
    (Strict, {}, "Small.a: extra fields are the pipeline's: say it with `extra:`"),
    (Stripped, {}, "Small.a: str_strip_whitespace has no equal in a signature"),
    (Renamed, {}, "Small.a.a: alias has no equal in a signature"),
    (Ring, {}, "Small.a.rings[]: Ring holds itself"),
    (small, {}, "Small.a: 'small' is no name of a type: those begin with a capital"),
    (Both, {}, "Small.a.other: two models are called Line"),
    (list[Renamed], {}, "Small.a[].a: alias has no equal in a signature"),
    (dict[str, Renamed], {}, "Small.a{}.a: alias has no equal in a signature"),
]


@pytest.mark.parametrize(("annotation", "said", "sentence"), REFUSED)
def test_what_cannot_be_said_is_refused_with_its_path(annotation, said, sentence):
    (problem,) = read_class(of(annotation, **said)).problems
    assert problem.startswith(sentence)


def test_all_mistakes_of_a_class_are_named():
    class Several(dspy.Signature):
        history: str = dspy.InputField()
        chat: dspy.History = dspy.InputField()
        past: dspy.History = dspy.InputField()
        late: dspy.History = dspy.OutputField()
        found: set[str] = dspy.OutputField()

    assert read_class(Several).problems == (
        "Several.history: history is the session's: a dspy.History",
        "Several.late: a history is an input of a stage",
        "Several.found: a set has no order to keep: write list[T]",
        "Several: a stage has one history, the session's",
    )


def test_a_signature_has_two_sides():
    class Half(dspy.Signature):
        a: str = dspy.InputField()

    assert read_class(Half).problems == ("Half: a signature needs at least one output",)


@pytest.mark.parametrize("given", [int, Line, "a -> b", dspy.Signature])
def test_what_is_no_class_of_dspys_is_refused(given):
    (problem,) = read_class(given).problems
    assert problem.endswith("is neither a dspy.Signature nor a pydantic model")


def test_two_sides_must_both_be_models():
    assert read_models(int, Line).problems == (
        "int: is neither a dspy.Signature nor a pydantic model",
    )


PATTERNS = [
    ("^[a-z]+$", "[a-z]+"),
    ("^(?:a|b)$", "a|b"),
    ("^(?:(?:a)(?:b))$", "(?:a)(?:b)"),
    ("^(a|b)c$", "(a|b)c"),
    (r"^[\]|]$", r"[\]|]"),
    ("^[]|]$", "[]|]"),
    ("^[^]|]$", "[^]|]"),
    ("^a|b$", "(?s:.*)(?:^a|b$)(?s:.*)"),
    ("^(?:a)|(?:b)$", "(?s:.*)(?:^(?:a)|(?:b)$)(?s:.*)"),
    ("b", "(?s:.*)(?:b)(?s:.*)"),
    (r"^a\$", r"(?s:.*)(?:^a\$)(?s:.*)"),
]


@pytest.mark.parametrize(("pattern", "ours"), PATTERNS)
def test_a_pattern_that_is_looked_for_becomes_one_of_the_whole_text(pattern, ours):
    assert whole(pattern) == ours
    found = pydantic.TypeAdapter(Annotated[str, Field(pattern=pattern)])
    matches = compile_pattern(ours)
    for text in ("a", "b", "ab", "abc", "xb", "b\n", "\nb", "", "]", "|", "a$", "ac"):
        try:
            found.validate_python(text)
        except pydantic.ValidationError:
            assert not matches(text)
        else:
            assert matches(text)


@steadily
@given(
    st.sampled_from(["a", "a|b", "(?:a)|(?:b)", r"\$", "[$]", "a$", "^a", "[|]", ""])
)
def test_a_pattern_comes_back_from_pydantics_form(pattern):
    assert whole(anchored(pattern)) == pattern


@steadily
@given(declared("a"), declared("b"), declared("c"))
def test_fields_come_back_from_their_class(one, two, three):
    inputs, outputs = (one.typed(None), two.typed(None)), (three.typed(None),)
    made = signature_class("Made", inputs, outputs, "Do it.")
    reading = read_class(made)
    assert reading.problems == ()
    assert tuple(each.typed(None) for each in reading.inputs) == inputs
    assert tuple(each.typed(None) for each in reading.outputs) == outputs
    assert reading.instructions == "Do it."


def test_a_class_is_made_with_a_history_too():
    reading = parse_signature("question, history, blob: bytes -> answer")
    inputs = tuple(each.typed(None) for each in reading.inputs)
    outputs = tuple(each.typed(None) for each in reading.outputs)
    made = signature_class("Asked", inputs, outputs)
    assert made.__name__ == "Asked"
    assert made.input_fields["history"].annotation is dspy.History
    assert made.input_fields["blob"].annotation is bytes
    back = read_class(made)
    assert tuple(each.typed(None) for each in back.inputs) == inputs
    assert back.instructions == ""


def test_names_that_dspy_uses_make_no_class():
    fields = (TypedField(name="fields", type=BYTES),)
    with pytest.raises(ConfigError, match="fields is a name that DSPy uses itself"):
        signature_class("Taken", fields, (TypedField(name="b", type=STR),))


CLASSES = """
import os
from pydantic import BaseModel

class Ticket(BaseModel):
    text: str

def solve(): ...
"""


def test_a_class_is_found_in_an_allowed_module_only(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "streams_user_classes.py").write_text(CLASSES)
    code = UserCode(["streams_user_classes"], [str(tmp_path)])
    assert code.find_class("streams_user_classes:Ticket").__name__ == "Ticket"
    for target, reason in [
        ("streams_user_classes:solve", "streams_user_classes has no class solve"),
        ("streams_user_classes:Nobody", "streams_user_classes has no class Nobody"),
        ("streams_user_classes:BaseModel", "module pydantic.main is not allowed"),
        ("streams_user_classes:os", "streams_user_classes has no class os"),
        ("os:PathLike", "module os is not allowed"),
        ("streams_user_classes", "'streams_user_classes' is not written module:Class"),
    ]:
        with pytest.raises(ConfigError, match=reason):
            code.find_class(target)
    code.close()
