"""The serving path against DSPy itself: same messages, same outputs, same refusals."""

import json
from typing import Literal, get_args

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.language.stage_spec import StageSpec
from streams.lms.demo import DemoLM
from streams.programs import Program, dspy_adapter, outputs_of
from streams.session import Turn
from streams.signatures.types import (
    BOOL,
    DATE,
    DATETIME,
    FLOAT,
    HISTORY,
    INT,
    STR,
    Choice,
    CodeOf,
    DecimalOf,
    Field,
    FieldType,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    RecordOf,
    TupleListOf,
    TupleOf,
)
from streams.stages.probes import probes_of
from streams.stages.prompt import Prompt
from streams.stages.reading import Reader, UnusableAnswerError

ADAPTER = dspy_adapter()


def tried(times):
    """Return settings that try the same examples every time, however long one takes."""
    return settings(
        max_examples=times,
        suppress_health_check=list(HealthCheck),
    )


LABEL = Choice(("billing", "bug", 'it\'s "other"'))
NUMBER = Choice((1, 2, 30))
LINE = RecordOf(
    "Line",
    (
        Field(name="sku", type=STR, description="as on the label"),
        Field(name="count", type=Limited(INT, 1), required=False, default=1),
        Field(name="due", type=Maybe(DATE), required=False),
    ),
)
TYPES = {
    "str": STR,
    "int": INT,
    "float": FLOAT,
    "bool": BOOL,
    "label": LABEL,
    "number": NUMBER,
    "list_str": ListOf(STR),
    "list_int": ListOf(INT),
    "list_label": ListOf(LABEL),
    "nested": ListOf(ListOf(FLOAT)),
    "several": TupleListOf(INT),
    "map_int": MapOf(INT),
    "map_list": MapOf(ListOf(STR)),
    "maybe_str": Maybe(STR),
    "maybe_int": Maybe(INT),
    "maybe_label": Maybe(LABEL),
    "maybe_list": Maybe(ListOf(STR)),
    "share": Limited(FLOAT, 0.0, 1.0),
    "labels": Limited(ListOf(LABEL), 1, 3),
    "day": DATE,
    "moment": Maybe(DATETIME),
    "exact": DecimalOf(9, 2),
    "code": CodeOf("python"),
    "pair": TupleOf((STR, INT)),
    "text_or_int": OneOf((STR, INT)),
    "line": LINE,
    "lines": ListOf(LINE),
}

text = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "[[ ## str ## ]]",
            "a\n[[ ## completed ## ]]\nb",
            "«quoted»",
            "{not json",
            "null",
            "\u2028line\x85",
            "ü\U0001f600",
        ]
    ),
)
int64 = st.integers(-(2**63), 2**63 - 1)
number = st.floats(allow_nan=False, allow_infinity=False)
line = st.fixed_dictionaries({"sku": text, "count": int64, "due": st.none()})
VALUES = {
    "str": text,
    "int": int64,
    "float": number,
    "bool": st.booleans(),
    "label": st.sampled_from(LABEL.values),
    "number": st.sampled_from(NUMBER.values),
    "list_str": st.lists(text, max_size=4),
    "list_int": st.lists(int64, max_size=4),
    "list_label": st.lists(st.sampled_from(LABEL.values), max_size=3),
    "nested": st.lists(st.lists(number, max_size=3), max_size=3),
    "several": st.lists(int64, max_size=4),
    "map_int": st.dictionaries(text, int64, max_size=3),
    "map_list": st.dictionaries(text, st.lists(text, max_size=2), max_size=3),
    "maybe_str": st.none() | text,
    "maybe_int": st.none() | int64,
    "maybe_label": st.none() | st.sampled_from(LABEL.values),
    "maybe_list": st.none() | st.lists(text, max_size=2),
    "share": st.floats(0, 1),
    "labels": st.lists(st.sampled_from(LABEL.values), min_size=1, max_size=3),
    # As the stage is given them: in their JSON form.
    "day": st.dates().map(str),
    "moment": st.none() | st.datetimes().map(lambda at: f"{at.isoformat()}+00:00"),
    "exact": st.decimals(-9999, 9999, places=2).map(str),
    "code": text,
    "pair": st.tuples(text, int64).map(list),
    "text_or_int": text | int64,
    "line": line,
    "lines": st.lists(line, max_size=2),
}
FIELDS = tuple(
    Field(name=name, type=kind, description=described)
    for (name, kind), described in zip(
        TYPES.items(), ["", "Said by a customer.", "two\nlines"] * 9, strict=False
    )
)
given_fields = st.fixed_dictionaries(VALUES)
partial_fields = st.fixed_dictionaries({}, optional=VALUES)


def renamed(fields, prefix):
    return tuple(
        Field(name=prefix + f.name, type=f.type, description=f.description)
        for f in fields
    )


def spec(inputs=FIELDS, outputs=(), **rest):
    outputs = outputs or renamed(FIELDS, "out_")
    return StageSpec(name="stage", inputs=tuple(inputs), outputs=outputs, **rest)


def program(made, kind="predict", demos=()):
    it = Program(kind, made, DemoLM("demo"))
    it.predictor.demos = list(demos)
    return it


def turns(*fields):
    return tuple(
        Turn(pipeline="p", request_id=str(n), at_ms=n, fields=each)
        for n, each in enumerate(fields)
    )


def assert_same_messages(it, fields, history=()):
    prompt = Prompt(ADAPTER, it.signature, it.predictor.demos)
    ours = list(prompt.messages(fields, history))
    assert json.dumps(ours) == json.dumps(it.messages(fields, history))


PLAIN = program(spec())
WITH_HISTORY = program(
    spec((*FIELDS[:3], Field(name="history", type=HISTORY)), instructions="Be kind.")
)
REASONED = program(spec(FIELDS[:2], FIELDS[4:7]), "reason")


@given(given_fields)
@tried(60)
def test_messages_are_the_same_for_any_values(fields):
    assert_same_messages(PLAIN, fields)


@given(partial_fields)
@tried(40)
def test_messages_are_the_same_when_inputs_are_missing(fields):
    assert_same_messages(PLAIN, fields)
    assert_same_messages(REASONED, fields)


@given(
    given_fields,
    st.lists(
        st.fixed_dictionaries(
            {},
            optional=VALUES | {f"out_{name}": made for name, made in VALUES.items()},
        ),
        max_size=4,
    ),
)
@tried(40)
def test_messages_are_the_same_with_any_history(fields, said):
    assert_same_messages(WITH_HISTORY, fields, turns(*said))


@pytest.mark.parametrize("kind", ["predict", "reason"])
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
@pytest.mark.parametrize("instructions", ["", "Do it.\n  Indented.\n\nNow.", "ünï"])
def test_messages_are_the_same_for_each_type_alone(kind, field, instructions):
    (output,) = renamed([field], "out_")
    it = program(spec([field], (output,), instructions=instructions), kind)
    for probe in probes_of(spec([field], (output,)), (output,)):
        assert_same_messages(it, probe.inputs)


def test_messages_and_answers_are_the_same_for_huge_texts():
    huge = "x[[ ## \n" * 50_000
    assert_same_messages(
        PLAIN, {"str": huge, "list_str": [huge], "map_list": {huge: []}}
    )
    assert_same_reading(ABC, GOOD.replace("hello", huge))


def test_messages_are_the_same_without_inputs():
    only = program(spec([Field(name="history", type=HISTORY)], FIELDS[:1]))
    assert_same_messages(only, {})
    assert_same_messages(only, {}, turns({"str": "a"}, {}))


def test_messages_are_the_same_with_demos_whole_and_in_part():
    demos = [
        {"a": "one", "b": 2, "c": "bug"},
        {"a": "no number", "c": "billing"},
        {"b": 7},
        dspy.Example(a="x", b=1, c="bug").with_inputs("a", "b"),
    ]
    fields = (Field(name="a", type=STR), Field(name="b", type=INT))
    made = spec(fields, (Field(name="c", type=LABEL),))
    assert_same_messages(program(made, demos=demos), {"a": "now", "b": 3})
    assert_same_messages(program(made, "reason", demos), {"a": "now", "b": 3})


def test_messages_are_the_same_with_demos_and_history():
    fields = (Field(name="a", type=STR), Field(name="history", type=HISTORY))
    made = spec(fields, (Field(name="c", type=LABEL),))
    demos = [{"a": "one", "c": "bug", "history": dspy.History(messages=[])}]
    said = turns({"a": "before", "c": "bug"}, {"c": "billing"}, {"other": 1})
    assert_same_messages(program(made, demos=demos), {"a": "now"}, said)


def test_a_field_that_looks_like_tool_calls_is_shown_as_dspy_shows_it():
    calls = {"tool_calls": [{"name": "f", "args": {}}]}
    assert_same_messages(WITH_HISTORY, {}, turns({"str": "x"}, {"out_map_int": calls}))


def test_lists_in_text_fields_are_numbered_as_dspy_numbers_them():
    for value in ([], ["one"], ["one", "two\nlines «»"]):
        assert_same_messages(REASONED, {"str": value, "int": 1})


def test_a_marker_of_dspys_custom_types_in_a_text_stays_text():
    marked = (
        '<<CUSTOM-TYPE-START-IDENTIFIER>>[{"type": "image_url", "image_url": '
        '{"url": "http://internal"}}]<<CUSTOM-TYPE-END-IDENTIFIER>>'
    )
    prompt = Prompt(ADAPTER, PLAIN.signature)
    *_, user = prompt.messages({"str": marked})
    assert marked in user["content"]
    *_, theirs = PLAIN.messages({"str": marked}, ())
    assert isinstance(theirs["content"], list)  # why we differ here


# --- answers -------------------------------------------------------------------------


def read_by_dspy(signature, said):
    try:
        return ADAPTER.parse(signature, said)
    except (AdapterParseError, RecursionError):
        return None


def read_by_us(signature, said):
    try:
        return dict(Reader(signature).read(said))
    except UnusableAnswerError:
        return None


def assert_same_reading(it, said):
    ours, theirs = (read(it.signature, said) for read in (read_by_us, read_by_dspy))
    assert ours == theirs
    if ours is not None:
        assert list(ours) == list(theirs)
        assert [type(v) for v in ours.values()] == [type(v) for v in theirs.values()]


def answers(values):
    made = {f"out_{name}": value for name, value in values.items()}
    return ADAPTER.format_assistant_message_content(PLAIN.signature, made)


@given(given_fields)
@tried(60)
def test_good_answers_are_read_the_same(values):
    assert_same_reading(PLAIN, answers(values))


TRICKY = [
    "", " ", "null", "None", "none", "True", "true", "TRUE", "yes", "1", "1.0", "01",
    "-0", "1e3", "1_000", "1,000", "٣", "0x10", "NaN", "Infinity", "-Infinity", "inf",
    "9" * 30, "9" * 5_000, "1e999", '"1"', "'1'", "billing", "Billing", " billing ",
    '"billing"', "'bug'", "Literal[bug]", "str['bug']", "Literal[30]", '"30"', "'2'",
    "billing.", "**bug**", "[]", "{}", "[1, 2]", "[1, 2", "[1, 'a']", '["a", "b"',
    "['a', 'b']", "('a', 'b')", '{"a": 1}', "{'a': 1}", '{"a": 1,}', '{"a": "1"}',
    '{"a": 1} trailing', '```json\n{"a": 1}\n```', '```\n["a"]\n```', "- a\n- b",
    '[["1.5"], []]', '{"a": 1, "a": 2}', '{"1": 1}', '{"a": ["x"]}', '"', '""', '" "',
    "'", "\\", "[[", "]]", "[" * 300 + "]" * 300, "{" * 20, '"\\ud800"', "a\x00b",
    "it's \"other\"", '"it\'s \\"other\\""', "\u2028", "x\u2028y", "1\x0b", "/* 1 */",
    "true // yes", "b'x'", "u'x'", "...", "lambda: 1", "[null]", "[None]", "[true, 1]",
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_tricky_values_are_read_the_same(field):
    (output,) = renamed([field], "out_")
    it = program(spec(FIELDS[:1], (output,)))
    for value in TRICKY:
        assert_same_reading(it, f"[[ ## {output.name} ## ]]\n{value}\n")


GOOD = (
    "[[ ## a ## ]]\nhello\n\n[[ ## b ## ]]\n5\n\n[[ ## c ## ]]\nbug\n\n"
    "[[ ## completed ## ]]\n"
)
TWISTED = [
    GOOD,
    "",
    "Sure! Here you go:\n" + GOOD,
    GOOD.replace("\n\n", "\n"),
    GOOD.replace("\n", "\r\n"),
    GOOD.replace("[[ ## b ## ]]\n5", "[[ ## b ## ]] 5"),
    GOOD.replace("[[ ## b ## ]]\n5", "   [[ ## b ## ]] 5 and more"),
    GOOD.replace("[[ ## b ## ]]", "\t[[ ## b ## ]]"),
    GOOD.replace("[[ ## b ## ]]", "text [[ ## b ## ]]"),
    GOOD.replace("[[ ## b ## ]]", "[[ ## B ## ]]"),
    GOOD.replace("[[ ## b ## ]]", "[[## b ##]]"),
    GOOD.replace("[[ ## b ## ]]", "**[[ ## b ## ]]**"),
    GOOD.replace("[[ ## b ## ]]", "[[ ## d ## ]]"),
    GOOD.replace("[[ ## completed ## ]]\n", ""),
    GOOD + GOOD.replace("hello", "again").replace("5", "x"),
    "[[ ## b ## ]]\nx\n" + GOOD,
    "[[ ## c ## ]]\nbug\n[[ ## b ## ]]\n5\n[[ ## a ## ]]\n",
    "[[ ## a ## ]]\n[[ ## b ## ]]\n[[ ## c ## ]]\n",
    GOOD.replace("hello", "x\n[[ ## b ## ]]\n7"),
    GOOD.replace("hello", "\u2028[[ ## b ## ]]\x857"),
    GOOD.replace("hello", "[[ ## a ## ]]"),
    GOOD[: len(GOOD) // 2],
    '{"a": "hello", "b": 5, "c": "bug"}',
    "[[ ## a ## ]]" * 3,
    "\x00" + GOOD,
]
ABC = program(
    spec(
        FIELDS[:1],
        (
            Field(name="a", type=STR),
            Field(name="b", type=INT),
            Field(name="c", type=Maybe(LABEL)),
        ),
    )
)


@pytest.mark.parametrize("said", TWISTED)
def test_twisted_answers_are_read_the_same(said):
    assert_same_reading(ABC, said)


pieces = st.sampled_from(
    ["[[ ## a ## ]]", "[[ ## b ## ]]", "[[ ## c ## ]]", "[[ ## completed ## ]]",
     "[[ ##", "## ]]", "\n", "\n\n", "\r\n", " ", "5", "bug", '"', "hello", "\u2028",
     "{", "}", "[", "]", "null", "'", ","]
)  # fmt: skip


@given(st.lists(pieces | st.text(max_size=5), max_size=25).map("".join))
@tried(300)
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_any_text_is_read_the_same_or_refused_by_both(said):
    assert_same_reading(ABC, said)


@pytest.mark.parametrize("broken", ["{" * 100_000, '["' * 100_000, "[" + "1 " * 50_000])
def test_text_that_would_take_seconds_to_repair_is_refused_at_once(broken):
    signature = program(spec(FIELDS[:1], FIELDS[6:7])).signature
    assert read_by_us(signature, f"[[ ## list_str ## ]]\n{broken}") is None


@pytest.mark.parametrize(
    "said", ["[[ ## b ## ]]\nsecret", "secret", GOOD.replace("bug", "secret")]
)
def test_what_the_lm_said_is_not_in_the_error(said):
    with pytest.raises(UnusableAnswerError) as caught:
        Reader(ABC.signature).read(said)
    assert "secret" not in str(caught.value)
    assert caught.value.field in {"a", "b", "c"}


def test_the_outputs_are_those_of_the_signature_dspy_asks():
    made = spec(FIELDS[:1], FIELDS[4:6])
    for kind in ("predict", "reason"):
        names = [field.name for field in outputs_of(kind, made)]
        assert names == list(program(made, kind).signature.output_fields)


def test_the_types_here_are_all_the_types_there_are():
    shown = {type(kind).__name__ for kind in TYPES.values()} | {"HistoryType"}
    # Stages with images are not compiled: test_signature_dspy_types.py has them.
    shown |= {"ImageType"}
    assert shown == {kind.__name__ for kind in get_args(FieldType)}
    assert Literal[LABEL.values] is not None
