"""A pipeline can be seen: in a terminal, as Mermaid text, and as an SVG picture."""

import re
from xml.etree import ElementTree as ET

import pytest

from streams.planned import SKIP, UseDefault, UseStage
from streams.views.as_mermaid import mermaid_of
from streams.views.as_svg import svg_of
from streams.views.as_text import text_of
from streams.views.drawing import Box, Drawing, Order, figure_of
from streams.views.flow_line import flow_line
from tests.streams.seen_nodes import (
    call,
    fallback,
    loop,
    map_over,
    parallel,
    planned,
    seq,
    stage,
    when,
)

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*nodes):
    return Drawing(
        title="desk 1",
        inputs=("ticket",),
        outputs=("reply",),
        body=figure_of(seq(*nodes)),
    )


def picture(drawing):
    return ET.fromstring(svg_of(drawing))  # noqa: S314 - our own text


EVERYTHING = (
    stage("sort"),
    parallel(facts=stage("lookup"), tone=seq(stage("draft"), stage("polite"))),
    when("topic == 'bill' && 1 < 2", stage("bill", on_failure=SKIP)),
    map_over("parts", stage("sum_up"), width=4),
    loop("score >= 0.8", seq(stage("better"), stage("judge")), most=3),
    fallback(
        stage("careful", on_failure=UseStage(stage=planned("spare"))),
        stage("quick", on_failure=UseDefault(outputs={"y": "none"})),
    ),
    call("enrich@2", stage("enrich")),
)


def test_a_terminal_shows_boxes_in_their_order():
    shown = text_of(drawn(stage("sort"), parallel(a=stage("one"), b=stage("two"))))
    assert (
        shown
        == """\
                   ticket
                      │
                      ▼
             ┌─────────────────┐
             │      sort       │
             │ predict · small │
             │       8 s       │
             └─────────────────┘
                      │
                      ▼
┌─ parallel ────────────────────────────────┐
│          a                     b          │
│ ┌─────────────────┐   ┌─────────────────┐ │
│ │       one       │   │       two       │ │
│ │ predict · small │   │ predict · small │ │
│ │       8 s       │   │       8 s       │ │
│ └─────────────────┘   └─────────────────┘ │
└───────────────────────────────────────────┘
                      │
                      ▼
                    reply"""
    )


WORDS = [
    "predict · small",
    "parallel",
    "facts",
    "tone",
    "when topic == 'bill' && 1 < 2",
    "then",
    "else",
    "nothing",
    "on failure: skip",
    "map parts as part, 4 at a time",
    "y → ys",
    "loop until score >= 0.8, at most 3 times",
    "fallback",
    "first",
    "on failure: default y",
    "careful, or what stands in for it",
    "spare",
    "pipeline enrich@2",
    "enrich",
]


@pytest.mark.parametrize("word", WORDS)
def test_every_construct_is_in_every_drawing(word):
    drawing = drawn(*EVERYTHING)
    entities = {"#quot;": '"', "#lt;": "<", "#gt;": ">"}
    mermaid = mermaid_of(drawing)
    for entity, character in entities.items():
        mermaid = mermaid.replace(entity, character)
    assert word in text_of(drawing)
    assert word in mermaid
    assert word in [text.text for text in picture(drawing).iter()]


def test_an_svg_says_what_it_shows_and_nothing_sticks_out():
    root = picture(drawn(*EVERYTHING))
    assert (root.get("role"), root.find(f"{SVG}title").text) == (
        "img",
        "Pipeline desk 1",
    )
    assert "from ticket to reply" in root.find(f"{SVG}desc").text
    assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text
    width, height = int(root.get("width")), int(root.get("height"))
    for text in root.iter(f"{SVG}text"):
        assert 0 <= int(text.get("x")) <= width - int(text.get("textLength"))
        assert 0 <= int(text.get("y")) <= height


def test_mermaid_ties_only_what_it_has_and_closes_what_it_opens():
    lines = [line.strip() for line in mermaid_of(drawn(*EVERYTHING)).splitlines()]
    assert lines[0] == "flowchart TD"
    named = {
        m[1] for line in lines if (m := re.match(r"(?:subgraph )?(n\d+)[\[(]", line))
    }
    tied = [m for line in lines if (m := re.fullmatch(r"(n\d+) --> (n\d+)", line))]
    assert tied
    assert {name for m in tied for name in m.groups()} <= named
    assert sum(line.startswith("subgraph") for line in lines) == lines.count("end")
    for line in lines[1:]:
        assert re.fullmatch(
            r'(subgraph )?n\d+(\["[^"<>]*(<br/>[^"<>]*)*"\]|\(\["[^"]*"\]\))|'
            r"n\d+ --> n\d+|end",
            line,
        ), line


def test_independent_stages_stand_side_by_side():
    body = figure_of(seq(stage("a"), stage("b"), stage("c"), after=[(), (), (0, 1)]))
    assert [len(level) for level in body.levels()] == [2, 1]
    drawing = Drawing(title="d 1", inputs=("x",), outputs=("y",), body=body)
    assert "at the same time" in text_of(drawing)
    lines = mermaid_of(drawing).splitlines()
    assert [line.strip() for line in lines if "-->" in line] == [
        "n2 --> n4",
        "n3 --> n4",
        "n1 --> n2",
        "n1 --> n3",
        "n4 --> n5",
    ]


def test_an_arrow_that_another_way_says_already_is_left_out():
    body = figure_of(seq(stage("a"), stage("b"), stage("c"), after=[(), (0,), (0, 1)]))
    drawing = Drawing(title="d 1", inputs=("x",), outputs=("y",), body=body)
    assert mermaid_of(drawing).count("n2 -->") == 1


def test_many_fields_are_shown_on_several_lines():
    box = Order(figures=(Box(name="a", notes=()),), after=(frozenset(),))
    names = tuple(f"field_number_{i}" for i in range(9))
    shown = text_of(Drawing(title="d 1", inputs=names, outputs=("y",), body=box))
    assert max(map(len, shown.splitlines())) <= 60
    assert "field_number_8" in shown


def test_a_long_condition_is_cut():
    shown = text_of(drawn(when("a == 1 && " * 20 + "b", stage("x"))))
    assert "…" in shown
    assert max(map(len, shown.splitlines())) < 80


def test_a_flow_is_one_line_that_differs_with_every_part_of_it():
    assert flow_line(seq(*EVERYTHING)) == (
        "sort, parallel (facts: lookup | tone: draft, polite), "
        "when topic == 'bill' && 1 < 2 (bill | nothing), "
        "map parts as part, 4 at a time, y in ys (sum_up), "
        "loop until score >= 0.8, 3 times (better, judge), "
        "fallback (careful | quick), "
        "pipeline enrich@2 with its = ours, taken = made (enrich)"
    )
