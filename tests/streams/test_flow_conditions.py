"""Conditions are CEL: checked against types, compiled once, and never surprising."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from streams.conditions.cel import MAX_CHARACTERS, compile_condition
from streams.errors import ConditionError, ConfigError
from streams.signatures.parse import Types, parse_fields
from streams.signatures.types import STR, Field, RecordOf

LINE = RecordOf("Line", (Field(name="sku", type=STR),))
FIELDS = """
ticket: str, tier: Literal['free', 'pro'], stars: Literal[1, 2], sure: float[0..1],
count: int, good: bool, key: bytes, due: date, placed: datetime, price: Decimal[8, 2],
tags: list[str, ..5], scores: dict[str, float], pair: tuple[str, int], line: Line,
lines: list[Line], days: list[date], note: str | None, when_: datetime | None,
any: str | int, type: str, size: int
"""
READ = parse_fields(FIELDS, Types({"Line": LINE})).inputs
KINDS = {field.name: field.type for field in READ}
VALUES = {
    "ticket": "broken",
    "tier": "pro",
    "stars": 2,
    "sure": 0.5,
    "count": 3,
    "good": True,
    "key": b"ab",
    "due": date(2026, 2, 28),
    "placed": datetime(2026, 2, 28, 12, tzinfo=UTC),
    "price": Decimal("2.50"),
    "tags": ["a", "b"],
    "scores": {"a": 0.5},
    "pair": ("x", 1),
    "line": {"sku": "AB1"},
    "lines": [{"sku": "AB1"}, {"sku": "AB2"}],
    "days": [date(2026, 2, 28)],
    "note": None,
    "when_": datetime(2026, 2, 28, 12, tzinfo=UTC),
    "any": 3,
    "type": "t",
    "size": 4,
}


def problems(text, kinds=KINDS):
    with pytest.raises(ConfigError) as caught:
        compile_condition(text, kinds)
    return list(caught.value.problems)


TRUE = [
    ("good", {"good"}),
    ("!(sure < 0.5) || good", {"sure", "good"}),
    ("tier == 'pro' && stars == 2", {"tier", "stars"}),
    ("ticket.startsWith('bro') && ticket.size() == 6", {"ticket"}),
    ("ticket.matches('^b.*n$')", {"ticket"}),
    ("key == b'ab'", {"key"}),
    ("due < '2026-03-01'", {"due"}),
    ("placed < timestamp('2026-03-01T00:00:00Z')", {"placed"}),
    ("placed.getFullYear() == 2026", {"placed"}),
    ("price > 2.4", {"price"}),
    ("'a' in tags && tags.size() == 2 && tags[1] == 'b'", {"tags"}),
    ("scores.a > 0.4 && !has(scores.b)", {"scores"}),
    ("pair[0] == 'x' && pair[1] == 1", {"pair"}),
    ("line.sku == 'AB1'", {"line"}),
    ("lines.exists(each, each.sku == 'AB2')", {"lines"}),
    ("lines.all(line, line.sku != '')", {"lines"}),
    ("days[0] == '2026-02-28'", {"days"}),
    ("note == null", {"note"}),
    ("timestamp(when_) < timestamp('2027-01-01T00:00:00Z')", {"when_"}),
    ("any == 3", {"any"}),
    ("size(tags) == 2", {"tags"}),
    ("type(count) == int", {"count"}),
    # A name inside of a text is none.
    ("ticket != 'sure && count'", {"ticket"}),
    ("ticket != r'\"tags\"' // and good", {"ticket"}),
    ("{'count': 3}.count == count", {"count"}),
    ("true", set()),
]


@pytest.mark.parametrize(("text", "reads"), TRUE)
def test_a_condition_reads_the_fields_that_it_names_and_no_others(text, reads):
    condition = compile_condition(text, KINDS)
    assert (condition.text, condition.reads) == (text, reads)
    assert condition.holds({name: VALUES[name] for name in reads}) is True
    negated = compile_condition(f"!(\n{text}\n)", KINDS)
    assert negated.holds(VALUES) is False


WRONG = [
    ("sur > 0.5", ["column 1: nothing is called sur; did you mean sure?"]),
    ("good &&\n nope", ["line 2, column 2: nothing is called nope; did you mean no"]),
    (
        "who.am.i == 1 || x",
        ["column 1: nothing is called who; k", "column 18: nothing is called x"],
    ),
    (
        "count > 'a'",
        ["column 7: found no matching overload for '_>_' applied to '(int"],
    ),
    (
        "sure > 1",
        ["column 6: found no matching overload for '_>_' applied to '(double"],
    ),
    ("count", ["says neither true nor false: it is of type int"]),
    ("note", ["says neither true nor false: it is of type dyn"]),
    ("count >", ["column 8: mismatched input '<EOF>'"]),
    ("", ["column 1: mismatched input '<EOF>'"]),
    ("count > ) 1", ["column 9: extraneous input ')'"]),
    ("tags.size", ["column 5: expression of type"]),
    ("now() > placed", ["column 4: nothing is called now"]),
    (
        "__import__('os').system('id') == 0",
        ["column 11: nothing is called __import__", "column 24: nothing is called sys"],
    ),
    ("ticket.__class__ == 1", ["column 7: expression of type 'string' cannot be"]),
    ("if", ["column 1: reserved identifier: if"]),
    (
        "type == 't'",
        ["column 6: found no matching", "type is CEL's own name: no condi"],
    ),
    ("(" * 300 + "good" + ")" * 300, ["is nested too deep for CEL"]),
    ("good" + " && good" * 400, [f"has more than {MAX_CHARACTERS} characters"]),
    ("ticket == '\ud800'", ["is no Unicode text"]),
]


@pytest.mark.parametrize(("text", "sentences"), WRONG)
def test_what_is_wrong_is_said_with_its_column(text, sentences):
    found = problems(text)
    assert len(found) == len(sentences), found
    for problem, sentence in zip(found, sentences, strict=True):
        assert problem.startswith(sentence)
        assert "\n" not in problem


def test_no_sentence_of_cel_lists_its_grammar():
    assert "expecting" not in problems("count >")[0]


VALUELESS = [
    ("count / (count - 3) > 0", "divide by zero"),
    ("count % (count - 3) > 0", "modulus by zero"),
    ("count + 9223372036854775807 > 0", "integer overflow"),
    ("tags[7] == 'a'", "index error"),
    ("scores[ticket] > 0.1", "key not found in map"),
    ("note.size() > 1", "no matching overloads found"),
    ("int(ticket) > 1", "cannot convert"),
    ("timestamp(ticket) > placed", "conversion failed"),
    ("ticket.matches('(')", "invalid regular expression"),
    ("any.sku == 'x'", "it has no value"),
]


@pytest.mark.parametrize(("text", "reason"), VALUELESS)
def test_a_condition_without_a_value_is_an_error_that_quotes_no_value(text, reason):
    with pytest.raises(ConditionError) as caught:
        compile_condition(text, KINDS).holds(VALUES)
    assert str(caught.value) == f"condition {text!r}: {reason}"
    assert (caught.value.code, caught.value.retryable) == ("flow.condition", False)


def test_a_condition_takes_ten_thousand_steps_through_lists_and_no_more():
    condition = compile_condition("tags.all(tag, tag != '')", KINDS)
    assert condition.holds({"tags": ["a"] * 9_999})
    with pytest.raises(ConditionError, match="iteration budget exceeded"):
        condition.holds({"tags": ["a"] * 10_000})
    nested = "tags.all(a, tags.all(b, tags.all(c, a + b + c != '')))"
    with pytest.raises(ConditionError, match="iteration budget exceeded"):
        compile_condition(nested, KINDS).holds({"tags": ["a"] * 100})


def test_a_pattern_that_would_backtrack_for_ever_does_not():
    condition = compile_condition("ticket.matches('^(a+)+$')", KINDS)
    assert not condition.holds({"ticket": "a" * 5_000 + "b"})


@pytest.mark.parametrize(
    "text",
    [
        "ticket.matches(ticket)",
        "matches(ticket, 'a')",
        "ticket.matches('a' + 'b')",
        r"ticket.matches('(.?)\x7b900\x7d')",
        "['a{9}'].all(p, ticket.matches(p))",
        "ticket.matches // (\n (ticket)",
    ],
)
def test_a_pattern_is_written_out_so_that_no_request_brings_a_slow_one(text):
    assert problems(text) == [
        "a pattern is written out where it is used: name.matches(r'[a-z]+')"
    ]


def test_a_pattern_has_the_size_that_patterns_of_signatures_have():
    assert problems("ticket.matches('(..?){999}')") == ["its patterns are too large"]


MEGABYTE = "a" * 1_000_000


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("tags.all(t, size(ticket) > 0)", {"tags": ["a"] * 9_000, "ticket": MEGABYTE}),
        ("tags.all(t, ticket + ticket != t)", {"tags": ["a"] * 99, "ticket": MEGABYTE}),
        ("tags.all(t, size(tags + tags) > 0)", {"tags": ["a"] * 9_000}),
        ("ticket.matches('(.?){900}b')", {"ticket": "a" * 50_000}),
        ("size(tags) > 0", {"tags": ["a"] * 1_000_000}),
        ("['aaaa']" + ".map(a, a + a)" * 24 + " != tags", {"tags": []}),
        ("[tags]" + ".map(a, [a, a])" * 24 + " != []", {"tags": []}),
    ],
)
def test_a_condition_on_what_is_too_large_has_no_value(text, values):
    with pytest.raises(ConditionError, match="it would look at too much"):
        compile_condition(text, KINDS).holds(values)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("!ticket.contains('b')", {"ticket": MEGABYTE}),
        ("ticket.matches('^a+$') && size(ticket) > 5", {"ticket": MEGABYTE[:200_000]}),
        ("tags.all(t, t.matches('^[a-z]+$'))", {"tags": ["abc"] * 500}),
        ("tags.all(t, size(t) < 50)", {"tags": ["a" * 40] * 9_000}),
        ("tags.all(a, tags.all(b, a == b))", {"tags": ["a"] * 90}),
        ("lines.all(l, size(l.sku) == 3)", {"lines": [{"sku": "AB1"}] * 1_000}),
        ("tags.exists(t, t in ['a', 'b', 'c'])", {"tags": ["c"] * 5_000}),
        ("ticket.contains('matches')", {"ticket": "it matches"}),
    ],
)
def test_a_condition_on_what_requests_have_is_asked(text, values):
    assert compile_condition(text, KINDS).holds(values)


def test_whole_numbers_may_stand_where_floats_are_declared():
    condition = compile_condition("sure > 0.5 && scores.a > 0.5", KINDS)
    assert condition.holds({"sure": 1, "scores": {"a": 1}})


def test_a_condition_is_compiled_once_for_the_same_types():
    first = compile_condition("count > 1", KINDS)
    assert compile_condition("count > 1", {"count": KINDS["count"]}) is first
    assert compile_condition("count > 1", {"count": KINDS["any"]}) is not first
