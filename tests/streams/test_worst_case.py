"""The worst case of a flow: seconds along its longest way, and LM calls on all ways."""

from dataclasses import replace

import pytest

from streams.language.program_file import ProgramUse
from streams.language.tools import ToolUse
from streams.language.trials import Trials
from streams.planned import UseStage
from streams.signatures.parse import parse_fields
from streams.views.amount import Amount
from streams.views.worst_case import calls_of_attempt, worst_of
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


def native(name, timeout_s=1.0):
    return stage(name, kind="template", lm="", timeout_s=timeout_s)


CASES = [
    ("one stage", stage("a"), "8 s", "1"),
    ("a stage without LM", native("a"), "1 s", "0"),
    # 3 x 8, and waits of 0.2 and 0.4 between them.
    ("attempts and what is waited", stage("a", attempts=3), "24.6 s", "3"),
    (
        "a stage and its stand-in",
        stage("a", on_failure=UseStage(stage=planned("b", timeout_s=2))),
        "10 s",
        "2",
    ),
    ("a sequence", seq(stage("a"), stage("b", timeout_s=2)), "10 s", "2"),
    (
        "the longest way of a sequence",
        seq(
            stage("a"),
            stage("b", timeout_s=2),
            stage("c", timeout_s=3),
            after=[(), (), (1,)],
        ),
        "8 s",
        "3",
    ),
    ("branches", parallel(a=stage("a"), b=stage("b", timeout_s=2)), "8 s", "2"),
    ("one of two ways", when("c", stage("a"), native("b")), "8 s", "1"),
    ("no other way", when("c", stage("a")), "8 s", "1"),
    ("a loop", loop("c", stage("a"), most=3), "24 s", "3"),
    ("all alternatives", fallback(stage("a"), native("b")), "9 s", "1"),
    ("another pipeline", call("p@1", stage("a")), "8 s", "1"),
    (
        "a map over a list of any length",
        seq(stage("z"), map_over("parts", stage("a"))),
        "8 s + 8 s for each 8 of parts",
        "1 + 1 for each of parts",
    ),
    (
        "a map that does one at a time",
        map_over("parts", stage("a"), width=1),
        "8 s for each of parts",
        "1 for each of parts",
    ),
    ("a map over a bounded list", map_over("few", stage("a")), "16 s", "10"),
    (
        "a map in a map",
        map_over("parts", map_over("lines", stage("a"), width=2)),
        "8 s for each 2 of lines for each 8 of parts",
        "1 for each of lines for each of parts",
    ),
    (
        "the longer branch, whichever it turns out to be",
        parallel(a=stage("a"), b=map_over("parts", native("b"))),
        "8 s + 1 s for each 8 of parts",
        "1",
    ),
]


@pytest.mark.parametrize(
    ("node", "seconds", "calls"), [row[1:] for row in CASES], ids=[r[0] for r in CASES]
)
def test_what_a_flow_costs_at_most(node, seconds, calls):
    types = {d.name: d.type for d in parse_fields("few: list[str, ..10] | None").inputs}
    worst = worst_of(node, types)
    assert (worst.seconds.text(" s"), worst.calls.text()) == (seconds, calls)
    assert not worst.endless


def test_a_stage_without_timeout_is_named():
    worst = worst_of(seq(stage("a"), native("b", timeout_s=None)), {})
    assert (worst.seconds.text(" s"), worst.endless) == ("8 s", {"b"})


def test_nothing_costs_nothing():
    assert Amount().text(" s") == "0 s"
    assert Amount.of(2).times(0).text() == "0"


def test_a_stage_asks_as_often_as_its_kind_may():
    use = ToolUse(tools=("look",), max_calls=5, timeout_s=None)
    tries = Trials(manner="best_of", n=3, reward="m:f", threshold=1.0, fail_count=3)
    refine = replace(tries, manner="refine")
    program = ProgramUse(state=None, module="predict", target="m:C", threads=None)
    assert calls_of_attempt(planned("a")) == 1
    assert calls_of_attempt(planned("a", tool_use=use)) == 6
    assert calls_of_attempt(planned("a", trials=tries)) == 3
    # And between its tries the LM is asked for advice.
    assert calls_of_attempt(planned("a", trials=refine)) == 5
    assert worst_of(stage("a", program=program), {}).uncounted == {"a"}
