"""Signatures are read by a grammar of our own: what it takes, and what it says else."""

import sys

import pytest

from streams.signatures.parse import Declared, parse_fields, parse_signature
from streams.signatures.types import (
    BOOL,
    FLOAT,
    HISTORY,
    INT,
    STR,
    Choice,
    ListOf,
    MapOf,
    Maybe,
)

TYPES = [
    ("str", STR),
    ("int", INT),
    ("float", FLOAT),
    ("bool", BOOL),
    ("list[str]", ListOf(STR)),
    ("list[list[int]]", ListOf(ListOf(INT))),
    ("dict[str, float]", MapOf(FLOAT)),
    ("dict[str, list[bool]]", MapOf(ListOf(BOOL))),
    ("Optional[str]", Maybe(STR)),
    ("str | None", Maybe(STR)),
    ("None | str", Maybe(STR)),
    ("Optional[str] | None", Maybe(STR)),
    ("Optional[Optional[int]]", Maybe(INT)),
    ("list[str | None]", ListOf(Maybe(STR))),
    ("Literal['a']", Choice(("a",))),
    ("Literal['a', \"b\"]", Choice(("a", "b"))),
    ("Literal['x -> y', 'a, b', '[']", Choice(("x -> y", "a, b", "["))),
    ("Literal[1, -2]", Choice((1, -2))),
    ("Literal['it\\'s', 'a\\nb', '\\\\']", Choice(("it's", "a\nb", "\\"))),
    ("Literal['a'] | None", Maybe(Choice(("a",)))),
    (" list [ str ] ", ListOf(STR)),
    ("list[\n  str\n]", ListOf(STR)),
]


@pytest.mark.parametrize(("written", "meant"), TYPES)
def test_a_type_means_what_it_says(written, meant):
    reading = parse_signature(f"a: {written} -> b")
    assert reading.problems == ()
    assert [field.type for field in reading.inputs] == [meant]


@pytest.mark.parametrize("meant", [meant for _, meant in TYPES])
def test_a_type_reads_as_it_is_shown(meant):
    assert parse_fields(f"a: {meant}").inputs[0].type == meant


DEFAULTS = [
    ("str = 'free'", STR, "free"),
    ("str = ''", STR, ""),
    ("int = 3", INT, 3),
    ("int = -3", INT, -3),
    ("float = 1.5", FLOAT, 1.5),
    ("float = 1e3", FLOAT, 1000.0),
    ("float = 2", FLOAT, 2.0),
    ("bool = True", BOOL, True),
    ("bool = False", BOOL, False),
    ("list[str] = []", ListOf(STR), []),
    ("list[int] = [1, 2,]", ListOf(INT), [1, 2]),
    ("list[list[int]] = [[1], []]", ListOf(ListOf(INT)), [[1], []]),
    ("dict[str, int] = {}", MapOf(INT), {}),
    ("dict[str, int] = {'a': 1, 'b': 2}", MapOf(INT), {"a": 1, "b": 2}),
    ("Literal['a', 'b'] = 'b'", Choice(("a", "b")), "b"),
    ("str | None = None", Maybe(STR), None),
    ("str | None = 'x'", Maybe(STR), "x"),
]


@pytest.mark.parametrize(("written", "kind", "default"), DEFAULTS)
def test_a_default_is_a_value_of_its_type(written, kind, default):
    (field,) = parse_fields(f"a: {written}").inputs
    assert field == Declared(name="a", type=kind, required=False, default=default)
    assert type(field.default) is type(default)


def test_an_optional_field_need_not_be_there():
    (field,) = parse_fields("a: str | None").inputs
    assert (field.required, field.default) == (False, None)


def test_both_sides_are_read_in_their_order():
    reading = parse_signature(
        "ticket: str 'what they wrote', tier: Literal['free'] 'plan' = 'free', history"
        ' -> category, reply: str "one sentence"'
    )
    assert reading.inputs == (
        Declared(name="ticket", type=STR, description="what they wrote"),
        Declared(
            name="tier",
            type=Choice(("free",)),
            description="plan",
            required=False,
            default="free",
        ),
        Declared(name="history", type=HISTORY),
    )
    assert reading.outputs == (
        Declared(name="category"),
        Declared(name="reply", type=STR, description="one sentence"),
    )
    assert reading.problems == ()


def test_a_field_without_type_takes_the_type_it_is_given_else_text():
    (field,) = parse_fields("a 'described'").inputs
    assert field.typed(INT).type == INT
    assert field.typed(None).type == STR
    assert field.typed(None).description == "described"


def test_one_field_may_stand_on_both_sides():
    assert parse_signature("reply -> reply").problems == ()


PROBLEMS = [
    # The shape.
    ("", ["column 1: a signature needs '->' between inputs and outputs"]),
    ("a, b", ["column 5: a signature needs '->' between inputs and outputs"]),
    ("a -> b -> c", ["column 8: a signature has only one '->'"]),
    ("-> b", ["column 1: a signature needs at least one input"]),
    ("a ->", ["column 5: a signature needs at least one output"]),
    ("a, -> b", ["column 4: a field is missing after ','"]),
    ("a -> b,", ["column 8: a field is missing after ','"]),
    ("a,, b -> c", ["column 3: expected the name of a field, found ','"]),
    ("a b -> c", ["column 3: expected ',' or '->' before 'b'"]),
    ("a: str int -> b", ["column 8: expected ',' or '->' before 'int'"]),
    ("'a' -> b", ["column 1: expected the name of a field, found \"'a'\""]),
    ("a: -> b", ["column 4: expected a type, found '->'"]),
    ("a: str = -> b", ["column 10: expected a value, found '->'"]),
    ("a: list[str -> b", ["column 13: expected ']' before '->'"]),
    ("a: list[] -> b", ["column 9: expected a type, found ']'"]),
    ("a: list[int] = [1 -> b", ["column 19: expected ']' before '->'"]),
    (
        "a: dict[str, int] = {1: 2} -> b",
        ["column 22: expected a text as key, found '1'"],
    ),
    ("a: dict[str, int] = {'k' 2} -> b", ["column 26: expected ':' before '2'"]),
    ("a; b -> c", ["column 2: ';' has no place in a signature"]),
    ("a -> b 'open", ["column 8: this text is not closed"]),
    ("a: str = __import__('os') -> b", ["column 10: expected a value, found"]),
    ("a: " + "list[" * 40 + "str -> b", ["column 89: nested more than 16 deep"]),
    ("a: list[int] = " + "[" * 40 + " -> b", ["column 33: nested more than 16 deep"]),
    # Names.
    ("_a -> b", ["column 1: '_a' begins with an underscore"]),
    ("class -> b", ["column 1: 'class' is a word of Python"]),
    ("None -> b", ["column 1: 'None' is a word of Python"]),
    ("é -> b", ["column 1: 'é' is no name"]),
    ("a" * 65 + " -> b", ["column 1: 'aaaaaaaaaaaaaaaaaaaa'… has more than 64"]),
    ("a, a -> b", ["column 4: the field a is here twice"]),
    ("a -> b, c, b", ["column 12: the field b is here twice"]),
    # History.
    ("a -> history", ["column 6: history is made by the session"]),
    ("history: str -> b", ["column 1: history is the session's: write the name alone"]),
    ("history 'x' -> b", ["column 1: history is the session's: write the name alone"]),
    # Types.
    ("a: string -> b", ["column 4: unknown type string; did you mean str?"]),
    ("a: lst[str] -> b", ["column 4: unknown type lst; did you mean list?"]),
    ("a: List[str] -> b", ["column 4: unknown type List; did you mean list?"]),
    (
        "a: os.PathLike -> b",
        ["column 4: unknown type os; known: str", "column 6: '.' has"],
    ),
    ("a: Audio -> b", ["column 4: an LM is given texts and images: send its text"]),
    ("a: list -> b", ["column 4: say of what: list[str]"]),
    ("a: dict -> b", ["column 4: say of what: dict[str, str]"]),
    ("a: Optional -> b", ["column 4: say of what: Optional[str]"]),
    ("a: Literal -> b", ["column 4: say which values: Literal['a', 'b']"]),
    ("a: None -> b", ["column 4: a field that can only be None says nothing"]),
    ("a: 'str' -> b", ["column 4: a value is no type; use Literal[...]"]),
    ("a: str[int] -> b", ["column 8: str takes no such argument"]),
    ("a: list[str, int] -> b", ["column 4: a list has one type of items: list[str]"]),
    ("a: dict[int, str] -> b", ["column 4: a dict is written dict[str, T]"]),
    ("a: dict[str] -> b", ["column 4: a dict is written dict[str, T]"]),
    ("a: dict[str, nope] -> b", ["column 14: unknown type nope; known: str"]),
    (
        "a: Optional[str, int] -> b",
        ["column 4: Optional takes one type: Optional[str]"],
    ),
    ("a: Optional[nope] -> b", ["column 13: unknown type nope"]),
    ("a: str | date -> b", ["column 4: str and date look the same in JSON"]),
    ("a: None | None -> b", ["column 4: a field that can only be None says nothing"]),
    ("a: Literal[str] -> b", ["column 4: Literal takes values: Literal['a', 'b']"]),
    ("a: Literal['x', 1] -> b", ["column 4: Literal takes texts only, or whole"]),
    ("a: Literal[True] -> b", ["column 4: Literal takes texts only, or whole numbers"]),
    ("a: Literal[1.5] -> b", ["column 4: Literal takes texts only, or whole numbers"]),
    ("a: Literal['x', 'x'] -> b", ["column 4: Literal names a value twice"]),
    ("a: Literal[" + "9" * 30 + "] -> b", ["column 4: Literal takes texts only"]),
    # Defaults.
    ("a = 'x' -> b", ["column 5: a field with a default needs a type"]),
    ("a: int = 'x' -> b", ["column 10: default of a: expected int, got str"]),
    ("a: str = None -> b", ["column 10: default of a: expected str, got None"]),
    ("a: int = 1.5 -> b", ["column 10: default of a: expected int, got float"]),
    ("a: float = 1e999 -> b", ["column 12: default of a: expected a finite number"]),
    ("a: int = " + "9" * 99 + " -> b", ["column 10: default of a: expected int"]),
    ("a: Literal['x'] = 'y' -> b", ["column 19: default of a: expected one of 'x'"]),
    (
        "a: list[int] = [1, 'x'] -> b",
        ["column 16: default of a: expected int, got str at [1]"],
    ),
]


@pytest.mark.parametrize(("text", "sentences"), PROBLEMS)
def test_a_mistake_is_named_with_its_place(text, sentences):
    found = parse_signature(text).problems
    assert len(found) == len(sentences)
    for problem, sentence in zip(found, sentences, strict=True):
        assert problem.startswith(sentence)


def test_one_reading_finds_the_mistakes_of_all_fields():
    reading = parse_signature("a: strin, _b, c: list[str, d: int -> e: int = 'x', f f")
    assert [problem.split(":")[0] for problem in reading.problems] == [
        "column 4",
        "column 11",
        "column 29",
        "column 47",
        "column 54",
    ]


def test_what_could_be_read_is_there_besides_the_problems():
    reading = parse_signature("good: int, bad: nope -> fine")
    assert [field.name for field in reading.inputs] == ["good"]
    assert [field.name for field in reading.outputs] == ["fine"]


def test_places_in_several_lines_have_line_and_column():
    assert (
        parse_signature("a: str,\n  b: nope\n-> c")
        .problems[0]
        .startswith("line 2, column 6: unknown type nope")
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "column 1: at least one field is needed"),
        ("a -> b", "column 3: '->' has no place among fields"),
        ("a, history", "column 4: history is made by the session; only stages may"),
        ("a: int = 1, a", "column 13: the field a is here twice"),
    ],
)
def test_fields_alone_have_one_side(text, sentence):
    (problem,) = parse_fields(text).problems
    assert problem.startswith(sentence)


def test_reading_imports_nothing():
    before = set(sys.modules)
    parse_signature("a: antigravity.Joke, b: this -> c: __import__")
    assert set(sys.modules) == before
