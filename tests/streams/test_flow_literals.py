"""Where ways meet that leave other literals of a field, it is one of all of them."""

import pytest

from streams.compiling.field_types import widest
from streams.signatures.types import STR, Choice, Maybe
from tests.streams.flows import file_of

WHEN = "{when: sure > 0.5, then: [a], else: [b]}"
A = "a: ticket -> kind: Literal['bug', 'bill']"
B = "b: ticket -> kind: Literal['other', 'bug']"


def typed(pipeline, name):
    (field,) = [field for field in pipeline.outputs if field.name == name]
    return str(field.type)


def test_two_ways_leave_the_values_of_both_in_the_order_of_the_file(bench):
    pipeline = bench.compile(file_of(f"[{WHEN}]", A, B, output="kind"))
    assert typed(pipeline, "kind") == "Literal['bug', 'bill', 'other']"


def test_who_takes_all_of_them_is_fitted(bench):
    taken = "c: kind: Literal['bill', 'bug', 'more', 'other'] -> x"
    pipeline = bench.compile(
        file_of(f"[{WHEN}, c]", A, B, taken, output="x, kind: str")
    )
    assert [stage.name for stage in pipeline.stages] == ["a", "b", "c"]


def test_who_takes_the_values_of_one_way_alone_is_told_of_the_other(bench):
    taken = "c: kind: Literal['bug', 'bill'] -> x"
    (found,) = bench.problems(file_of(f"[{WHEN}, c]", A, B, taken, output="x"))
    assert found == (
        "stages.c.ask: kind is Literal['bug', 'bill'] here, but "
        "Literal['bug', 'bill', 'other'] from the when at flow.1"
    )


def test_three_ways_of_a_fallback_are_joined_and_may_be_none(bench):
    flow = "[{fallback: [[a], [b], [c], [d]]}]"
    stages = (A, B, "c: ticket -> kind: Literal['new']", "d: ticket -> y")
    pipeline = bench.compile(file_of(flow, *stages, output="kind"))
    assert typed(pipeline, "kind") == "Literal['bug', 'bill', 'other', 'new'] | None"


def test_texts_and_numbers_are_not_joined(bench):
    flow = file_of(f"[{WHEN}]", A, "b: ticket -> kind: Literal[1, 2]", output="kind")
    (found,) = bench.problems(flow)
    assert "one has to fit the other" in found


async def test_what_either_way_makes_is_a_value_of_the_result(bench):
    pipeline = bench.compile(file_of(f"[{WHEN}]", A, B, output="kind"))
    bench.lm.say("b", {"kind": "other"})
    inputs = {"ticket": "broken", "sure": 0.1, "parts": []}
    end = await bench.run(pipeline, inputs=inputs)
    assert end.result.outputs == {"kind": "other"}


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        ([Choice(("a",)), Choice(("b",))], Choice(("a", "b"))),
        ([Choice((1,)), Choice((2, 1))], Choice((2, 1))),
        ([Maybe(Choice((1,))), Choice((2,))], Maybe(Choice((1, 2)))),
        ([Choice(("a",)), STR], STR),
        ([Choice(("a",)), Choice((1,))], None),
    ],
)
def test_the_widest_of_literals(kinds, wanted):
    assert widest(kinds) == wanted
