"""Every problem of a file has its line and column, down to a character of a text."""

import pytest

from streams.language.problems import Problem, Problems, located
from streams.language.section import Section
from streams.language.yaml_text import plain_values


def found_in(text, *told):
    """Return where problems are shown that say *told*, path and sentence."""
    problems = Problems("desk.yaml")
    plain_values(text, problems)
    for path, sentence in told:
        problems.add(path, sentence)
    return [located(problem) for problem in problems.found]


DESK = """\
pipeline: desk
stages:
  sort: {ask: "ticket -> topic", timeout: 8}
  draft:
    ask: 'ticket -> reply: strng'
    # a comment
    lm: smal
flow: [sort,
       {when: x, then: [draft]}]
"""

PLACES = [
    ("pipeline", "1:11"),
    ("stages.sort.timeout", "3:43"),
    ("stages.draft.lm", "7:9"),
    # What is no single value is looked for at its key.
    ("stages.draft", "4:3"),
    ("flow", "8:1"),
    # Items of a list have no key.
    ("flow.1", "8:8"),
    ("flow.2", "9:8"),
    ("flow.2.when", "9:15"),
    ("flow.2.then.1", "9:25"),
    # What is not there is looked for at what it is missing from.
    ("stages.draft.attempts", "4:3"),
    ("stages.draft.on_failure.default.reply", "4:3"),
    ("version", "1:1"),
    ("", "1:1"),
]


@pytest.mark.parametrize(("path", "at"), PLACES)
def test_a_problem_is_where_the_file_says_what_it_is_about(path, at):
    (line,) = found_in(DESK, (path, "is wrong"))
    named = f"{path}: " if path else ""
    assert line == f"desk.yaml:{at}: {named}is wrong"


def test_a_text_of_a_problem_is_as_it_is_without_line_and_column():
    problems = Problems("desk.yaml")
    plain_values(DESK, problems)
    problems.add("stages.draft.lm", "no LM is called smal")
    (problem,) = problems.found
    assert problem == "desk.yaml: stages.draft.lm: no LM is called smal"
    assert isinstance(problem, Problem)
    assert (problem.where, problem.path) == ("desk.yaml", "stages.draft.lm")
    assert (problem.line, problem.column) == (7, 9)
    assert problem.sentence == "no LM is called smal"


def test_an_option_is_found_below_its_section():
    problems = Problems("desk.yaml")
    plain_values("lms:\n  small: {model: none, n: 3}\n", problems)
    problems.add_options("lms.small", ["n: is unknown"])
    assert problems.found == ["desk.yaml: lms.small.n: is unknown"]
    assert located(problems.found[0]) == "desk.yaml:2:27: lms.small.n: is unknown"


INSIDE = [
    ("plain", "a: ticket -> 7", "column 11: no", "1:14: a: no"),
    ("quoted once", "a: 'ticket -> x: strng'", "column 14: no", "1:18: a: no"),
    ("quoted twice", 'a: "ticket -> x: strng"', "column 14: no", "1:18: a: no"),
    ("literal", "b: 1\na: |\n  one,\n  two", "line 2, column 2: no", "4:4: a: no"),
    ("on a line of its own", "a:\n  'one two'", "column 5: no", "2:8: a: no"),
    # Where the text is not written as it reads, its own column is all there is.
    ("escapes", 'a: "x\\ty -> z"', "column 4: no", "1:4: a: column 4: no"),
    ("doubled", "a: 'it''s -> z'", "column 6: no", "1:4: a: column 6: no"),
    ("folded", "a: >\n  x\n  y", "column 3: no", "1:4: a: column 3: no"),
    ("two lines", "a: one\n  two", "column 5: no", "1:4: a: column 5: no"),
    ("a number", "a: [1]", "column 2: no", "1:1: a: column 2: no"),
    (
        "a line too far",
        "a: one",
        "line 2, column 1: no",
        "1:4: a: line 2, column 1: no",
    ),
]


@pytest.mark.parametrize(
    ("text", "sentence", "shown"),
    [row[1:] for row in INSIDE],
    ids=[r[0] for r in INSIDE],
)
def test_a_column_inside_a_text_becomes_one_of_the_file(text, sentence, shown):
    assert found_in(text, ("a", sentence)) == [f"desk.yaml:{shown}"]


def test_an_unknown_key_is_shown_at_the_key_and_not_at_its_value():
    problems = Problems("f")
    section = Section(plain_values("name:    x\nnmae:    y\n", problems), "", problems)
    section.only(("name",))
    assert [located(p) for p in problems.found] == [
        "f:2:1: nmae: is unknown; did you mean name?"
    ]


BROKEN = [
    (
        "a: 1\nb: [",
        "f:2:5: no YAML: while parsing a flow node, expected the node content, ",
    ),
    ("a: 1\na: 2\n", "f:2:1: a: is here twice, again in line 2"),
    ("a:\n  [1]: x\n", "f:2:3: a: a key must be text"),
    ("a: !!python/name:os.system x", "f:1:4: no YAML: "),
    ("a: {b: 2026-13-45}", "f:1:8: a.b: month must be in 1..12; put it in quotes"),
    ("a: &x\n  b: *x\n", "f:2:3: a.b: contains itself"),
]


@pytest.mark.parametrize(("text", "shown"), BROKEN)
def test_what_is_no_proper_yaml_has_a_place_too(text, shown):
    problems = Problems("f")
    plain_values(text, problems)
    assert located(problems.found[0]).startswith(shown)


def test_without_a_file_there_is_no_line():
    problems = Problems("desk")
    problems.add("stages.draft", "is missing")
    assert located(problems.found[0]) == "desk: stages.draft: is missing"
    assert located("PENSTOCK_PORT: is no number") == "PENSTOCK_PORT: is no number"


def _bomb():
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for name, last in zip("bcdefghij", "abcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_bomb(), "has more than 100000 values, aliases written out"),
        ("a: " + "[" * 2_000 + "]" * 2_000, "is nested too deep"),
        ("a: '" + "x" * 1_100_000 + "'", "has more than 1048576 characters"),
        ("a: \0", "no YAML: "),
        ('a: "\\ud800"', "f:1:4: a: is no Unicode text"),
        ('"\\ud800": 1', "a key must be text"),
    ],
)
def test_a_file_that_means_harm_is_a_problem_and_takes_no_time(text, said):
    problems = Problems("f")
    plain_values(text, problems)
    (problem,) = problems.found
    assert said in located(problem)
