"""What the compiler makes is what the engine runs: each construct, file to result."""

import pytest

from streams.pipeline import compile_folder
from tests.streams.flows import file_of
from tests.streams.test_flow_calls import DESK, ENRICH

INPUTS = {"ticket": "broken", "sure": 0.9, "parts": ["a", "b", "c"]}


async def outputs(bench, text, **inputs):
    end = await bench.run(bench.compile(text), inputs={**INPUTS, **inputs})
    return end.result.status, end.result.outputs


WHEN = file_of(
    "[{when: sure > 0.5, then: [a], else: [b]}]",
    "a: ticket -> x",
    "b: ticket -> y",
    output="x, y",
)


@pytest.mark.parametrize(
    ("sure", "found"), [(0.9, {"x": "A", "y": None}), (0.1, {"x": None, "y": "B"})]
)
async def test_the_way_that_was_not_taken_leaves_none(bench, sure, found):
    bench.lm.say("a", {"x": "A"})
    bench.lm.say("b", {"y": "B"})
    assert await outputs(bench, WHEN, sure=sure) == ("OK", found)


async def test_branches_are_joined(bench):
    text = file_of(
        "[{parallel: {f: [a], g: [b]}}, c]",
        "a: ticket -> x",
        "b: ticket -> y",
        "c: x, y -> z",
        output="x, y, z",
    )
    for name in "xyz":
        bench.lm.say("abc"["xyz".index(name)], {name: name.upper()})
    found = {"x": "X", "y": "Y", "z": "Z"}
    assert await outputs(bench, text) == ("OK", found)


async def test_lists_are_collected_in_order(bench):
    text = file_of(
        "[{map: [a], over: parts, each: p, width: 1, collect: {x: xs, p: again}}]",
        "a: p -> x: int",
        output="xs, again",
    )
    bench.lm.say("a", {"x": 1}, {"x": 2}, {"x": 3})
    found = {"xs": [1, 2, 3], "again": ["a", "b", "c"]}
    assert await outputs(bench, text) == ("OK", found)


LOOP = file_of(
    "[{loop: [a, b], until: good > 0.8, max_iterations: 3}]",
    "a: ticket, hint: str = 'none' -> x",
    "b: x -> good: float, hint",
    output="x, good",
)


async def test_a_loop_shows_the_first_iteration_a_default_and_then_what_came_round(
    bench,
):
    bench.lm.say("a", {"x": "1"}, {"x": "2"})
    bench.lm.say("b", {"good": 0.1, "hint": "more"}, {"good": 0.9, "hint": ""})
    assert await outputs(bench, LOOP) == ("OK", {"x": "2", "good": 0.9})
    seen = [fields["hint"] for fields, _ in bench.stages["a"].seen]
    assert seen == ["none", "more"]


async def test_a_fallback_takes_what_does_not_fail(bench):
    text = file_of(
        "[{fallback: [[a], [b]]}]",
        "a: ticket -> x & attempts: 1",
        "b: ticket -> x, y",
        output="x, y",
    )
    bench.lm.say("a", "no json")
    bench.lm.say("b", {"x": "B", "y": "C"})
    assert await outputs(bench, text) == ("OK", {"x": "B", "y": "C"})


async def test_a_hole_in_an_output_is_a_partial_result(bench):
    text = file_of(
        "[a, b, c]",
        "a: ticket -> x & attempts: 1, on_failure: skip",
        "b: x: str = 'none' -> y",
        "c: x -> z",
        output="x, y, z",
    )
    bench.lm.say("a", "no json")
    bench.lm.say("b", {"y": "Y"})
    found = {"x": None, "y": "Y", "z": None}
    assert await outputs(bench, text) == ("PARTIAL", found)


@pytest.mark.parametrize(
    ("policy", "x"), [("{default: {x: D}}", "D"), ("{stage: b}", "B")]
)
async def test_something_stands_in_for_a_stage_that_failed(bench, policy, x):
    text = file_of(
        "[a]",
        f"a: ticket -> x & attempts: 1, on_failure: {policy}",
        *(["b: sure -> x"] if "stage" in policy else []),
        output="x",
    )
    bench.lm.say("a", "no json")
    bench.lm.say("b", {"x": "B"})
    assert await outputs(bench, text) == ("OK", {"x": x})


async def test_another_pipeline_runs_inside(bench, tmp_path):
    (tmp_path / "desk.yaml").write_text(DESK)
    (tmp_path / "enrich.yaml").write_text(ENRICH)
    desk = compile_folder(tmp_path, bench.toolbox)["desk"]
    bench.lm.say("enrich_look", {"facts": "F"})
    bench.lm.say("enrich_note", {"remark": "R"})
    bench.lm.say("a", {"x": "X"})
    end = await bench.run(desk, inputs=INPUTS)
    assert end.result.outputs == {"x": "X", "note": "R"}


async def test_a_condition_without_a_value_ends_the_request(bench):
    text = WHEN.replace("sure > 0.5", "'size(parts[7]) > 1'")
    end = await bench.run(bench.compile(text), inputs=INPUTS)
    assert (end.result.status, end.result.error.code) == ("ERROR", "flow.condition")


async def test_a_stage_that_is_skipped_leaves_no_older_value_of_its_outputs(bench):
    text = file_of(
        "[a, b]",
        "a: ticket -> x",
        "b: x, ticket -> x & attempts: 1, on_failure: skip",
        output="x",
    )
    bench.lm.say("a", {"x": "A"})
    bench.lm.say("b", "no json")
    assert await outputs(bench, text) == ("PARTIAL", {"x": None})


async def test_a_stage_that_stands_in_may_be_skipped_itself(bench):
    text = file_of(
        "[a]",
        "a: ticket -> x & attempts: 1, on_failure: {stage: b}",
        "b: sure -> x & attempts: 1, on_failure: skip",
        output="x",
    )
    bench.lm.say("a", "no json")
    bench.lm.say("b", "no json")
    assert await outputs(bench, text) == ("PARTIAL", {"x": None})
