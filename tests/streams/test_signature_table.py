"""Signatures from two tables: what each means, or every problem with its place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.signatures.canonical import signature_text
from streams.signatures.parse import parse_signature
from streams.signatures.records import read_types

HERE = Path(__file__).parent
TYPES, _ = read_types(
    {"Line": "sku: str, count: int[1..] = 1", "Order": "lines: list[Line]"}
)
AND_SO_ON = "…"


def table(name: str) -> Iterator[tuple[str, list[str]]]:
    """Give the rows of a table: a line, and the indented ones below it."""
    row: tuple[str, list[str]] | None = None
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            assert row is not None
            row[1].append(line.strip())
            continue
        if row is not None:
            yield row
        row = (line, []) if line and not line.startswith("#") else None
    if row is not None:
        yield row


VALID = list(table("signatures_valid.txt"))
INVALID = list(table("signatures_invalid.txt"))


@pytest.mark.parametrize(("text", "below"), VALID, ids=[text for text, _ in VALID])
def test_a_signature_means_what_its_canonical_text_says(text, below):
    reading = parse_signature(text, TYPES)
    canonical = below[0].removeprefix("= ") if below else text
    assert reading.problems == ()
    assert signature_text(reading) == canonical
    assert parse_signature(canonical, TYPES) == reading


@pytest.mark.parametrize(("text", "said"), INVALID, ids=[text for text, _ in INVALID])
def test_a_wrong_signature_is_refused_with_every_problem_at_its_place(text, said):
    problems = parse_signature(text, TYPES).problems
    assert len(problems) == len(said)
    for problem, sentence in zip(problems, said, strict=True):
        if sentence.endswith(AND_SO_ON):
            assert problem.startswith(sentence.removesuffix(AND_SO_ON).rstrip())
        else:
            assert problem == sentence


def test_the_tables_are_long_and_say_nothing_twice():
    for rows in (VALID, INVALID):
        texts = [text for text, _ in rows]
        assert len(texts) >= 200
        assert len(texts) == len(set(texts))
    assert not {text for text, _ in VALID} & {text for text, _ in INVALID}


def test_a_mistake_in_the_third_line_is_named_there():
    problems = parse_signature("a: str,\nb: int\n-> c: float[1..0]", TYPES).problems
    assert problems == ("line 3, column 13: a range begins with its lower bound",)


def test_a_text_of_a_hundred_thousand_characters_is_not_read():
    assert parse_signature("a" * 100_000).problems == (
        "has more than 16384 characters",
    )


def test_what_was_read_once_is_remembered():
    assert parse_signature("a -> b") is parse_signature("a -> b")
