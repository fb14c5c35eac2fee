"""Metric stages compare an answer with what was expected, as the literature does."""

import random
from decimal import Decimal
from itertools import product

import pytest
from dspy.evaluate.metrics import EM, F1, normalize_text

from streams.errors import StageInputError
from streams.scores import things, words
from streams.scores.common_parts import MAX_ELEMENTS, distance, longest_common
from streams.stages.metric import METRICS
from tests.streams.native import made, outputs, problems_of

TEXTS = (
    "The Eiffel Tower",
    "eiffel  tower!",
    "Paris",
    "Paris, France",
    "an apple a day",
    "Café",
    "Cafe\u0301",
    "yes",
    "No.",
    "",
    "the",
    "42",
    "in the town where I was born",
    "born in the town",
)


def stage(by, signature="a: str, b: str -> score: float", **options):
    said = "".join(f", {key}: {value}" for key, value in options.items())
    return made(f'{{metric: "{signature}", by: {by}{said}}}')


async def score(by, answer, expected, signature=None, **options):
    given = {} if signature is None else {"signature": signature}
    found = await outputs(stage(by, **given, **options), a=answer, b=expected)
    return found["score"]


@pytest.mark.parametrize(("answer", "expected"), list(product(TEXTS, TEXTS)))
async def test_matches_and_f1_are_those_of_dspy(answer, expected):
    assert words.words_of(answer) == normalize_text(answer).split()
    assert await score("normalized_match", answer, expected) == EM(answer, [expected])
    if words.words_of(answer) or words.words_of(expected):
        f1 = await score("f1", answer, expected)
        assert f1 == pytest.approx(F1(answer, [expected]))


async def test_two_texts_without_words_agree_as_in_squad_2():
    assert await score("f1", "the", "") == 1.0
    assert await score("rouge_l", "", "...") == 1.0
    assert await score("rouge_l", "", "word") == 0.0


async def test_the_best_of_several_references_counts():
    signature = "a: str, b: list[str] -> score: float"
    assert await score("f1", "Paris", ["Rome", "Paris France"], signature) == 2 / 3
    assert await score("exact_match", "Paris", [], signature) == 0.0


@pytest.mark.parametrize(
    ("by", "answer", "expected", "wanted"),
    [
        ("exact_match", "Paris", "Paris", 1.0),
        ("exact_match", "Paris", "paris", 0.0),
        ("contains", "It is the Eiffel Tower, in Paris.", "eiffel tower", 1.0),
        ("contains", "concatenate", "cat", 0.0),
        # Lin 2004, section 3.1: candidates S2 and S3 beside S1.
        ("rouge_l", "police kill the gunman", "police killed the gunman", 0.75),
        ("rouge_l", "the gunman kill police", "police killed the gunman", 0.5),
        ("levenshtein", "kitten", "sitting", 1 - 3 / 7),
        ("levenshtein", "", "", 1.0),
        ("levenshtein", "", "abc", 0.0),
        ("levenshtein", "Paris", "Paris", 1.0),
        ("json_equal", '{"a": 1, "b": [2]}', '{"b": [2.0], "a": 1}', 1.0),
        ("json_equal", '{"a": 1}', '{"a": true}', 0.0),
        ("json_equal", '{"a": 1}', '{"a": 1, "b": 2}', 0.0),
        ("json_equal", "[1, 2]", "[1]", 0.0),
        ("json_equal", "no json", '"no json"', 0.0),
        ("numeric", " 42.0 ", "42", 1.0),
        ("numeric", "4e1", "40", 1.0),
        ("numeric", "forty", "40", 0.0),
        ("numeric", "1e9999", "40", 0.0),
    ],
)
async def test_scores_of_texts(by, answer, expected, wanted):
    assert await score(by, answer, expected) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("by", "types", "answer", "expected", "wanted"),
    [
        ("jaccard", ("list[str]", "list[str]"), ["a", "b", "b"], ["b", "c"], 1 / 3),
        ("jaccard", ("list[str]", "list[str]"), [], [], 1.0),
        (
            "jaccard",
            ("list[dict[str, int]]", "list[dict[str, int], 1..]"),
            [{"a": 1, "b": 2}],
            [{"b": 2, "a": 1}],
            1.0,
        ),
        ("json_equal", ("dict[str, int]", "str"), {"a": 1}, '{"a":1}', 1.0),
        ("json_equal", ("list[Decimal[4, 2]]", "str"), [Decimal(1)], '["1"]', 1.0),
        ("numeric", ("float", "int"), 0.3, 0, 0.0),
        ("numeric", ("float[0..1]", "Decimal[4, 2]"), 0.1, Decimal("0.10"), 1.0),
    ],
)
async def test_scores_of_other_values(by, types, answer, expected, wanted):
    signature = f"a: {types[0]}, b: {types[1]} -> score: float"
    assert await score(by, answer, expected, signature) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("answer", "expected", "options", "wanted"),
    [
        (0.3, 0.2, {"tolerance": 0.1}, 1.0),
        (0.30001, 0.2, {"tolerance": 0.1}, 0.0),
        (110.0, 100.0, {"relative": 0.1}, 1.0),
        (100.0, 111.2, {"relative": 0.1}, 0.0),
        (-90.0, -100.0, {"relative": 0.1}, 1.0),
        (5.0, 0.0, {"relative": 0.5, "tolerance": 5}, 1.0),
    ],
)
async def test_numbers_may_be_apart_as_far_as_the_file_says(
    answer, expected, options, wanted
):
    signature = "a: float, b: float -> score: float"
    assert await score("numeric", answer, expected, signature, **options) == wanted


async def test_a_score_may_be_a_yes_or_no_or_both():
    both = stage("f1", "a, b -> score: float[0..1], good: bool", threshold=0.5)
    found = await outputs(both, a="Paris", b="Paris France")
    assert found == {"score": pytest.approx(2 / 3), "good": True}
    assert await outputs(both, a="Rome", b="Paris") == {"score": 0.0, "good": False}
    plain = stage("exact_match", "a, b -> good: bool")
    assert await outputs(plain, a="x", b="x") == {"good": True}


@pytest.mark.parametrize("by", ["rouge_l", "levenshtein"])
async def test_what_would_take_too_long_is_refused_with_its_length(by):
    most = " ".join(["x"] * MAX_ELEMENTS)[: MAX_ELEMENTS if by != "rouge_l" else None]
    assert await score(by, most, most) == 1.0
    with pytest.raises(StageInputError, match="to compare, at most 10000 are"):
        await score(by, most + " y", most)


@pytest.mark.parametrize("seed", range(20))
def test_long_bits_find_what_the_classic_tables_find(seed):
    chance = random.Random(seed)  # noqa: S311 - a test
    letters = chance.choice(["ab", "abc", "abcdefghij"])
    for _ in range(40):
        one, other = (
            "".join(chance.choice(letters) for _ in range(chance.randrange(30)))
            for _ in range(2)
        )
        assert longest_common(one, other) == table_common(one, other), (one, other)
        assert distance(one, other) == table_distance(one, other), (one, other)


def table_common(one, other):
    row = [0] * (len(other) + 1)
    for x in one:
        before = row
        row = [0]
        for j, y in enumerate(other):
            row.append(before[j] + 1 if x == y else max(before[j + 1], row[j]))
    return row[-1]


def table_distance(one, other):
    row = list(range(len(other) + 1))
    for i, x in enumerate(one):
        before, row = row, [i + 1]
        for j, y in enumerate(other):
            row.append(min(before[j + 1] + 1, row[j] + 1, before[j] + (x != y)))
    return row[-1]


@pytest.mark.parametrize("by", sorted(METRICS))
async def test_every_metric_gives_a_number_from_0_to_1(by):
    types = ("list[str]", "list[str]") if by == "jaccard" else ("str", "str")
    signature = f"a: {types[0]}, b: {types[1]} -> score: float[0..1]"
    for one, other in product(TEXTS, TEXTS):
        pair = ([one], [other]) if by == "jaccard" else (one, other)
        assert 0 <= await score(by, *pair, signature) <= 1


def test_numbers_beyond_any_float_are_compared_exactly():
    huge = "9" * 40
    assert things.numeric(huge, huge[:-1] + "8", 0.5, 0.0) == 0.0


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        ("{metric: 'a, b -> s: float'}", ["by: is missing"]),
        ("{metric: 'a, b -> s: float', by: F2}", ["by: no metric is called F2; "]),
        ("{metric: 'a, b -> s: float', by: [f1]}", ["by: must be text, and not empty"]),
        (
            "{metric: 'a -> s: float', by: f1}",
            ["metric: compares two inputs: the answer, then what was expected"],
        ),
        (
            "{metric: 'a: int, b: list[int] -> s: str', by: f1}",
            [
                "metric: f1 compares texts, a is int",
                "metric: f1 compares texts, b is list[int]",
                "metric: s is str: a metric leaves a float from 0 to 1 or a bool",
            ],
        ),
        (
            "{metric: 'a, b -> s: float[0..0.5]', by: f1}",
            ["metric: s is float[0..0.5]: a metric leaves"],
        ),
        (
            "{metric: 'a, b -> s: float, t: float', by: f1}",
            ["metric: leaves the same twice"],
        ),
        (
            "{metric: 'a, b: list[str] -> s: float', by: jaccard}",
            ["metric: jaccard compares lists, a is str"],
        ),
        (
            "{metric: 'a: bool, b: int -> s: float', by: numeric}",
            ["metric: numeric compares numbers, a is bool"],
        ),
        ("{metric: 'a, b -> s: bool', by: f1}", ["threshold: is missing"]),
        (
            "{metric: 'a, b -> s: float', by: f1, threshold: 0.5}",
            ["threshold: is for an output of type bool"],
        ),
        (
            "{metric: 'a, b -> s: bool', by: f1, threshold: 2}",
            ["threshold: must be a number from 0 to 1"],
        ),
        (
            "{metric: 'a, b -> s: float', by: f1, tolerance: 1, relative: 1}",
            ["tolerance: is for `by: numeric` only", "relative: is for `by: numeric`"],
        ),
        (
            "{metric: 'a, b -> s: float', by: numeric, tolerance: -1, relative: x}",
            ["tolerance: must be a number from 0 on", "relative: must be a number fro"],
        ),
    ],
)
def test_every_mistake_has_its_path(entry, problems):
    found = problems_of(entry)
    assert len(found) == len(problems), found
    for problem, beginning in zip(found, problems, strict=True):
        assert problem.startswith(beginning)


def test_the_version_changes_with_the_metric_and_what_is_close_enough():
    versions = {
        stage("f1").version,
        stage("rouge_l").version,
        stage("numeric").version,
        stage("numeric", tolerance=1).version,
        stage("json_equal").version,
        stage("json_equal", "a: list[str], b -> score: float").version,
        stage("f1", "a, b -> good: bool", threshold=0.5).version,
        stage("f1", "a, b -> good: bool", threshold=0.6).version,
    }
    assert len(versions) == 8
    assert stage("f1").version.startswith("metric@")
