"""What flows become: nodes, types of what they make, and which of it may be missing."""

from dataclasses import replace
from itertools import pairwise

import pytest

from streams.errors import ConfigError
from streams.flow_shape import stages_of
from streams.pipeline import compile_text
from streams.planned import SKIP, UseDefault, UseStage
from streams.programs import REASONING
from tests.streams.flows import drawn, file_of

A, B = "a: ticket -> x", "b: ticket -> y"
SKIPPED = "a: ticket -> x & on_failure: skip"

GOOD = [
    # Sequences.
    ("[a]", [A], "x", "a", "x: str", ""),
    ("[a, b]", [A, "b: x -> y"], "y", "(a > b)", "y: str", ""),
    (
        "[a, b, c]",
        [A, B, "c: x, y -> z"],
        "z",
        "(a[], b[], c[0, 1])",
        "z: str",
        "",
    ),
    ("[a, b]", [A, "b: x -> x"], "x", "(a > b)", "x: str", ""),
    # Parallel.
    (
        "[{parallel: {f: [a], g: [b, c]}}, d]",
        [A, B, "c: y -> z", "d: x, z -> w"],
        "w",
        "((f: a | g: (b > c)) > d)",
        "w: str",
        "",
    ),
    # When.
    (
        "[a, {when: \"x == 'k'\", then: [b], else: [c]}]",
        [A, B, "c: x -> y"],
        "y",
        "(a > (x == 'k' ? b : c))",
        "y: str",
        "",
    ),
    (
        "[{when: sure > 0.5, then: [a]}]",
        [A],
        "x",
        "(sure > 0.5 ? a : ())",
        "x: str | None",
        "",
    ),
    (
        "[{when: sure > 0.5, then: [a]}, b]",
        [A, "b: x -> y"],
        "y",
        "((sure > 0.5 ? a : ()) > b)",
        "y: str",
        "",
    ),
    # The wider of two types; an older value stays, and its type.
    (
        "[{when: sure > 0.5, then: [a], else: [b]}]",
        ["a: ticket -> x: int", "b: ticket -> x: float"],
        "x",
        "(sure > 0.5 ? a : b)",
        "x: float",
        "",
    ),
    (
        "[{when: sure > 0.5, then: [a], else: [b]}]",
        ["a: ticket -> x: int | None", "b: ticket -> x: float"],
        "x",
        "(sure > 0.5 ? a : b)",
        "x: float | None",
        "",
    ),
    (
        "[a, {when: sure > 0.5, then: [b]}]",
        [A, "b: ticket -> x: Literal['k']"],
        "x",
        "(a > (sure > 0.5 ? b : ()))",
        "x: str",
        "",
    ),
    # Map.
    (
        "[{map: [a, b], over: parts, each: part, collect: {y: ys, part: again}}]",
        ["a: part, ticket -> x: int", "b: x -> y: int[0..9]"],
        "ys, again",
        "map((a > b), parts, 8)",
        "ys: list[int[0..9]], again: list[str]",
        "",
    ),
    (
        (
            "[{map: [{when: sure > 0.5, then: [a]}], over: parts, each: part, "
            "collect: {x: xs}, width: 3}]"
        ),
        ["a: part -> x"],
        "xs",
        "map((sure > 0.5 ? a : ()), parts, 3)",
        "xs: list[str | None]",
        "",
    ),
    # Loop.
    (
        "[{loop: [a, b], until: good > 0.8, max_iterations: 3}]",
        ["a: ticket, hint: str = '' -> x", "b: x -> good: float, hint"],
        "x, hint",
        "loop((a > b), until good > 0.8, 3)",
        "x: str, hint: str",
        "",
    ),
    (
        "[{loop: [a], while: sure > 0.8, max_iterations: 3}]",
        ["a: ticket -> x, sure: float"],
        "x, sure",
        "loop(a, while sure > 0.8, 3)",
        "x: str | None, sure: float",
        "",
    ),
    # Fallback.
    (
        "[{fallback: [[a], [b, c]]}]",
        [A, B, "c: y -> x"],
        "x, y",
        "(a else (b > c))",
        "x: str, y: str | None",
        "",
    ),
    # Holes go to whoever needs them, and stop where something stands in.
    ("[a, b]", [SKIPPED, "b: x -> y"], "x, y", "(a > b)", "x: str, y: str", "x y"),
    (
        "[a, b]",
        [SKIPPED, "b: x: str = 'none' -> y"],
        "x, y",
        "(a > b)",
        "x: str, y: str",
        "x",
    ),
    ("[a, b]", [SKIPPED, "b: x: str | None -> y"], "y", "(a > b)", "y: str", ""),
    (
        "[a, {when: x == 'k', then: [b], else: [c]}]",
        [SKIPPED, B, "c: ticket -> y"],
        "y",
        "(a > (x == 'k' ? b : c))",
        "y: str",
        "y",
    ),
    (
        "[{map: [a], over: parts, each: part, collect: {x: xs}}]",
        ["a: part -> x & on_failure: skip"],
        "xs",
        "map(a, parts, 8)",
        "xs: list[str]",
        "xs",
    ),
    (
        "[{map: [a], over: parts, each: part, collect: {x: xs}}]",
        ["a: part -> x: str | None & on_failure: skip"],
        "xs",
        "map(a, parts, 8)",
        "xs: list[str | None]",
        "",
    ),
    (
        "[a, {map: [b], over: xs, each: part, collect: {y: ys}}]",
        ["a: ticket -> xs: list[str] & on_failure: skip", "b: part -> y"],
        "ys",
        "(a > map(b, xs, 8))",
        "ys: list[str]",
        "ys",
    ),
    (
        "[a, {loop: [b], until: 'x == y', max_iterations: 2}]",
        [SKIPPED, B],
        "y",
        "(a > loop(b, until x == y, 2))",
        "y: str",
        "y",
    ),
    # A hole of one iteration is one of the next: here it comes round twice.
    (
        "[{loop: [a, b, c], until: sure > 0.5, max_iterations: 2}]",
        [
            "a: ticket, z: str = '' -> x",
            "b: ticket, w: str = '' -> y",
            "c: ticket -> z, w & on_failure: skip",
        ],
        "x, z",
        "loop((a[], b[], c[0, 1]), until sure > 0.5, 2)",
        "x: str, z: str",
        "z",
    ),
    ("[a]", ["a: ticket -> x & on_failure: {default: {x: q}}"], "x", "a", "x: str", ""),
    (
        "[a]",
        ["a: ticket -> x & on_failure: {stage: b}", "b: sure -> x, y"],
        "x",
        "a",
        "x: str",
        "",
    ),
    (
        "[a]",
        [
            "a: ticket -> x & on_failure: {stage: b}",
            "b: sure -> x & on_failure: {stage: c}",
            "c: parts -> x & on_failure: skip",
        ],
        "x",
        "a",
        "x: str",
        "x",
    ),
]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case[3])
def test_a_flow_becomes(bench, case):
    flow, stages, output, shape, types, holes = case
    compiled = bench.compile(file_of(flow, *stages, output=output))
    assert drawn(compiled.flow) == shape
    assert ", ".join(f"{f.name}: {f.type}" for f in compiled.outputs) == types
    assert compiled.may_lack == {*holes.split()}


def compiled_of(bench, flow, *stages, output="x", **more):
    return bench.compile(file_of(flow, *stages, output=output, **more))


def test_all_stages_are_there_in_the_order_of_the_flow_with_those_that_stand_in(bench):
    pipeline = compiled_of(
        bench,
        "[{parallel: {f: [c], g: [a]}}]",
        "a: ticket -> x & on_failure: {stage: b}",
        "b: sure -> x",
        "c: ticket -> y",
    )
    assert [stage.name for stage in pipeline.stages] == ["c", "a", "b"]
    assert pipeline.stages == tuple(stages_of(pipeline.flow))
    assert list(pipeline.versions) == ["c", "a", "b"]


def test_what_follows_a_failure_is_with_the_stage(bench):
    pipeline = compiled_of(
        bench,
        "[a, b, c]",
        "a: ticket -> x & on_failure: {stage: d}",
        "b: ticket -> y: date & on_failure: {default: {y: 2026-02-28}}",
        "c: ticket -> z & on_failure: skip",
        "d: x: str = 'none', sure -> x",
    )
    a, d, b, c = pipeline.stages
    assert a.on_failure == UseStage(stage=d)
    assert isinstance(b.on_failure, UseDefault)
    assert str(b.on_failure.outputs["y"]) == "2026-02-28"
    assert c.on_failure is SKIP
    assert (d.takes, d.constants) == (("sure",), {"x": "none"})


def test_a_stage_waits_for_what_only_the_one_that_stands_in_for_it_reads(bench):
    flow = compiled_of(
        bench,
        "[b, a]",
        "a: ticket -> x & on_failure: {stage: c}",
        "b: ticket -> y",
        "c: y -> x",
    ).flow
    assert flow.after == (frozenset(), frozenset({0}))


def test_what_comes_round_in_a_loop_is_taken_and_missing_at_first(bench):
    pipeline = compiled_of(
        bench,
        "[{loop: [a, b], until: good > 0.8, max_iterations: 3}]",
        "a: ticket, hint: str = 'none' -> x",
        "b: x -> good: float, hint",
    )
    a = pipeline.stages[0]
    assert (a.takes, a.instead_of_holes) == (("ticket", "hint"), {"hint": "none"})
    assert a.constants == {}


def musing(bench, flow, output):
    """Compile two stages of a kind that adds ``reasoning`` to what they make."""
    ask = bench.toolbox.kinds["ask"]
    muse = replace(ask, leaves=lambda spec: (REASONING, *spec.outputs))
    tools = replace(bench.toolbox, kinds={"ask": muse})
    return compile_text(file_of(flow, A, B, output=output), "desk.yaml", tools)


def test_what_a_kind_adds_counts_only_if_somebody_reads_it(bench):
    assert drawn(musing(bench, "[a, b]", "x, y").flow) == "(a[], b[])"
    assert drawn(musing(bench, "[a, b]", "x, y, reasoning").flow) == "(a > b)"
    both = "[{parallel: {f: [a], g: [b]}}]"
    assert drawn(musing(bench, both, "x, y").flow) == "(f: a | g: b)"
    with pytest.raises(ConfigError, match="makes reasoning, and so does f"):
        musing(bench, both, "x, reasoning")


BASE = file_of(
    "[a, {when: sure > 0.5, then: [b]}, {map: [c], over: parts, each: part, "
    "collect: {z: zs}, width: 4}, {loop: [d], until: sure > 0.2, max_iterations: 3}, "
    "{fallback: [[e], [f]]}, {parallel: {g: [g], h: [h]}}]",
    "a: ticket -> x & on_failure: {default: {x: q}}",
    B,
    "c: part -> z",
    "d: ticket -> sure: float",
    "e: ticket -> v",
    "f: ticket -> v",
    "g: ticket -> g",
    "h: ticket -> h & timeout: 4s",
    output="x",
)
MORE = ("flow:", '  i: {ask: "ticket -> x"}\nflow:')
EACH = ('"part -> z"', '"piece -> z"')
CHANGES = [
    [("when: sure > 0.5", "when: sure > 0.6")],
    [("then: [b]", "then: [b], else: [i]"), MORE],
    [("each: part", "each: piece"), EACH],
    [("collect: {z: zs}", "collect: {z: all}")],
    [("max_iterations: 3", "max_iterations: 4")],
    [("until: sure > 0.2", "while: sure > 0.2")],
    [("[[e], [f]]", "[[f], [e]]")],
    [("{g: [g], h: [h]}", "{g: [g], other: [h]}")],
    [("{x: q}", "{x: r}")],
    [("{default: {x: q}}", "skip")],
    [("{default: {x: q}}", "{stage: i}"), MORE],
]


def changed(text, changes):
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


@pytest.mark.parametrize("changes", CHANGES)
def test_the_fingerprint_covers_the_flow(bench, changes):
    other = bench.compile(changed(BASE, changes))
    assert other.fingerprint != bench.compile(BASE).fingerprint


def test_the_fingerprint_leaves_out_how_long_and_how_often(bench):
    often = ("timeout: 4s", "timeout: 1s, attempts: 9")
    other = changed(BASE, [often, ("width: 4", "width: 5")])
    assert bench.compile(other).fingerprint == bench.compile(BASE).fingerprint


def test_a_large_pipeline_is_one_pass(bench):
    names = [f"s{number}" for number in range(200)]
    stages = [f"{b}: f_{a} -> f_{b}" for a, b in pairwise(names)]
    flow = compiled_of(
        bench,
        f"[{', '.join(names)}]",
        "s0: ticket -> f_s0",
        *stages,
        output="f_s199",
    ).flow
    assert flow.chain
