"""A flow gives what its nodes say: values, holes, failures and the order of it all."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import ConditionError, ModelRefusedError
from streams.journal import StageEntry
from streams.planned import (
    SKIP,
    CallNode,
    FallbackNode,
    LoopNode,
    MapNode,
    ParallelNode,
    SequenceNode,
    StageNode,
    UseDefault,
    UseStage,
    WhenNode,
)
from streams.stage import StageOutcome
from tests.streams.nodes import When, chain

DESK = """
pipeline: desk
version: 1
input: "x: int, parts: list[int]"
output: "{output}"
lms: {{small: {{model: scripted}}}}
stages:
{stages}
flow: [{flow}]
"""


class Counter:
    """A stage in Python: its outputs are what *function* makes of its fields."""

    def __init__(self, name, function):
        self.name = name
        self.version = f"counter@{name}"
        self.runs = 0
        self._function = function

    async def __call__(self, fields, run):
        self.runs += 1
        made = self._function(fields)
        return StageOutcome(outputs=await made if asyncio.iscoroutine(made) else made)


@pytest.fixture
def desk(bench):
    """Return a maker of pipelines: stages of one field each, and a flow of them."""
    return Desk(bench)


class Desk:
    """Makes pipelines of ``name=(signature, function)`` and runs them."""

    def __init__(self, bench):
        self.bench = bench

    def stages(self, **given):
        """Return planned stages by name."""
        # Compiled one after the other, so that each finds its inputs.
        lines = [f'  {n}: {{ask: "{sig}"}}' for n, (sig, _) in given.items()]
        last = next(reversed(given.values()))[0].split("->")[1]
        text = DESK.format(
            output=last.strip(), stages="\n".join(lines), flow=", ".join(given)
        )
        self.pipeline = self.bench.compile(text)
        return {
            planned.name: replace(
                planned,
                stage=Counter(planned.name, given[planned.name][1]),
                lm=None,
                timeout_s=None,
            )
            for planned in self.pipeline.stages
        }

    async def run(self, flow, *, outputs=None, progress="finished", **request):
        """Run *flow*; *outputs* are the names of fields that stages make."""
        start = request.pop("start", None)
        pipeline = replace(self.pipeline, flow=flow, progress=progress)
        if outputs is not None:
            [some] = pipeline.outputs
            made = tuple(replace(some, name=name) for name in outputs)
            pipeline = replace(pipeline, outputs=made)
        request.setdefault("inputs", {"x": 1, "parts": [1, 2, 3]})
        return await self.bench.run(pipeline, start=start, **request)

    @property
    def records(self):
        return [p.stage for p in self.bench.emitted if p.stage is not None]


def add(number):
    return lambda fields: {"y": fields["x"] + number}


def refuse(name):
    def fails(_fields):
        raise ModelRefusedError(name, "small", "no")

    return fails


# Parallel.


async def test_branches_run_at_the_same_time_and_all_outputs_are_there(desk):
    both = asyncio.Barrier(2)

    def meets(name):
        async def wait(fields):
            await both.wait()
            return {name: fields["x"]}

        return wait

    s = desk.stages(a=("x -> p: int", meets("p")), b=("x -> q: int", meets("q")))
    flow = ParallelNode(branches={"one": chain(s["a"]), "two": StageNode(stage=s["b"])})
    end = await asyncio.wait_for(desk.run(flow, outputs=["p", "q"]), 5)
    assert end.result.outputs == {"p": 1, "q": 1}
    assert (end.result.sequence, end.stage.sequence) == (2, 2)


async def test_a_branch_does_not_see_what_another_one_makes(desk):
    s = desk.stages(
        a=("x -> x: int", lambda f: {"x": f["x"] + 10}),
        b=("x -> y: int", add(0)),
    )
    first = chain(s["a"], s["a"])
    flow = ParallelNode(branches={"one": first, "two": chain(s["b"])})
    end = await desk.run(flow, outputs=["x", "y"])
    assert end.result.outputs == {"x": 21, "y": 1}


async def test_a_failure_cancels_the_other_branches_and_their_answers_are_saved(
    bench, desk
):
    s = desk.stages(ask=("x -> p: int", None), bad=("x -> y: int", refuse("bad")))
    asking = asyncio.Event()
    bench.lm.say("ask", {"p": 1})
    original = bench.stages["ask"]

    async def asks_and_waits(fields, run):
        await original(fields, run)
        asking.set()
        await asyncio.Event().wait()

    async def waits_and_fails(_fields):
        await asking.wait()
        refuse("bad")(None)

    asks_and_waits.version = "v"
    ask = replace(s["ask"], stage=asks_and_waits)
    bad = replace(s["bad"], stage=Counter("bad", waits_and_fails))
    flow = ParallelNode(branches={"one": chain(ask), "two": chain(bad)})
    end = await asyncio.wait_for(desk.run(flow), 5)
    assert (end.result.status, end.result.error.stage) == ("ERROR", "bad")
    assert [e.site for e in bench.entries[1:]] == ["ask"]
    assert end.stage.stage == "bad"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_of_two_failures_the_first_in_the_flow_is_the_requests(desk):
    s = desk.stages(a=("x -> p: int", refuse("a")), b=("x -> y: int", refuse("b")))
    both = asyncio.Barrier(2)

    def later(name):
        async def fails(_fields):
            await both.wait()
            refuse(name)(None)

        return Counter(name, fails)

    a, b = (replace(s[n], stage=later(n)) for n in "ab")
    flow = ParallelNode(branches={"one": chain(a), "two": chain(b)})
    end = await desk.run(flow)
    assert end.result.error.stage in {"a", "b"}
    assert end.stage.sequence == end.result.sequence


async def test_a_cancelled_run_is_cancelled_whatever_its_branches_do(desk):
    s = desk.stages(a=("x -> p: int", None), b=("x -> y: int", None))

    both = asyncio.Barrier(3)

    async def fails_when_cancelled(_fields):
        await both.wait()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            refuse("a")(None)

    a, b = (replace(s[n], stage=Counter(n, fails_when_cancelled)) for n in "ab")
    flow = ParallelNode(branches={"one": chain(a), "two": chain(b)})
    task = asyncio.create_task(desk.run(flow))
    await both.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


# Sequences.


SUM = st.integers(0, 6).flatmap(
    lambda count: st.tuples(
        *(
            st.frozensets(st.integers(0, n - 1)) if n else st.just(frozenset())
            for n in range(count + 1)
        )
    )
)


@settings(max_examples=25)
@given(after=SUM, rng=st.randoms())
def test_random_graphs_give_what_one_after_the_other_gives(new_bench, after, rng):
    async def check():
        desk = Desk(new_bench())

        def stage(index):
            async def weigh(fields):
                for _ in range(rng.randrange(3)):
                    await asyncio.sleep(0)
                return {f"y{index}": index + 2 * sum(fields.values())}

            takes = ", ".join(f"y{n}" for n in sorted(after[index])) or "x"
            return f"{takes} -> y{index}: int", weigh

        made = desk.stages(**{f"s{n}": stage(n) for n in range(len(after))})
        nodes = tuple(StageNode(stage=made[f"s{n}"]) for n in range(len(after)))
        names = [f"y{n}" for n in range(len(after))]
        flow = SequenceNode(nodes=nodes, after=after, chain=False)
        together = await desk.run(flow, outputs=names)
        in_turn = await desk.run(chain(*nodes), outputs=names)
        assert together.result.outputs == in_turn.result.outputs
        assert together.result.sequence == len(after)

    asyncio.run(check())


# When, fallback, call.


@pytest.mark.parametrize(
    ("x", "made"), [(1, {"p": 1, "q": None}), (5, {"p": None, "q": 5})]
)
async def test_one_of_two_ways_is_taken_and_the_other_makes_nothing(desk, x, made):
    s = desk.stages(
        a=("x -> p: int", lambda f: {"p": f["x"]}),
        b=("x -> q: int", lambda f: {"q": f["x"]}),
    )
    flow = WhenNode(
        condition=When(lambda v: v["x"] < 3, frozenset({"x"})),
        then=chain(s["a"]),
        otherwise=chain(s["b"]),
        makes=("p", "q"),
    )
    end = await desk.run(flow, outputs=["p", "q"], inputs={"x": x, "parts": []})
    assert end.result.outputs == made


async def test_a_condition_without_a_value_ends_the_run(desk):
    s = desk.stages(a=("x -> y: int", add(1)))

    def broken(_values):
        text = "x / 0"
        raise ConditionError(text, text)

    flow = WhenNode(
        condition=When(broken, frozenset({"x"})),
        then=chain(s["a"]),
        otherwise=chain(),
        makes=("y",),
    )
    end = await desk.run(flow)
    assert (end.result.status, end.result.error.code) == ("ERROR", "flow.condition")


async def test_the_next_alternative_begins_where_the_failed_one_began(desk):
    s = desk.stages(
        a=("x -> x: int", lambda _: {"x": 100}),
        b=("x -> z: int", refuse("b")),
        c=("x -> y: int", add(1)),
    )
    flow = FallbackNode(
        alternatives=(chain(s["a"], s["b"]), chain(s["c"])), makes=("x", "y", "z")
    )
    end = await desk.run(flow, outputs=["x", "y", "z"])
    assert (end.result.status, end.result.error) == ("OK", None)
    assert end.result.outputs == {"x": 1, "y": 2, "z": None}
    statuses = [(r.stage, r.status) for r in [*desk.records, end.stage]]
    assert statuses == [("a", "OK"), ("b", "ERROR"), ("c", "OK")]


async def test_the_error_of_the_last_alternative_is_the_requests(desk):
    s = desk.stages(a=("x -> p: int", refuse("a")), b=("x -> y: int", refuse("b")))
    flow = FallbackNode(alternatives=(chain(s["a"]), chain(s["b"])), makes=("y",))
    end = await desk.run(flow)
    assert (end.result.status, end.result.error.stage) == ("ERROR", "b")
    assert (end.stage.stage, end.stage.sequence) == ("b", 2)


async def test_no_alternative_begins_after_the_deadline(bench, desk):
    def late(_fields):
        bench.clock.advance(10)
        return {"p": 1}

    s = desk.stages(
        a=("x -> p: int", late),
        b=("p -> q: int", lambda f: {"q": f["p"]}),
        c=("x -> y: int", add(1)),
    )
    flow = FallbackNode(
        alternatives=(chain(s["a"], s["b"]), chain(s["c"])), makes=("y",)
    )
    end = await desk.run(flow, deadline_ms=bench.clock.now_ms() + 10_000)
    assert end.result.status == "EXPIRED"
    assert (s["b"].stage.runs, s["c"].stage.runs) == (0, 0)


async def test_a_called_pipeline_sees_its_inputs_and_leaves_its_outputs(desk):
    s = desk.stages(
        a=("x -> y: int", lambda f: {"y": f["x"] + 1}),
        b=("x, y -> z: int", lambda f: {"z": f["x"] * 100 + f["y"]}),
    )
    flow = chain(
        CallNode(
            pipeline="inner@1",
            inputs={"x": "x"},
            constants={},
            outputs={"y": "remark"},
            body=chain(s["a"]),
        ),
        CallNode(
            pipeline="other@1",
            inputs={"y": "remark"},
            constants={"x": 7},
            outputs={"z": "z"},
            body=chain(s["b"]),
        ),
    )
    end = await desk.run(flow, outputs=["remark", "z"])
    assert end.result.outputs == {"remark": 2, "z": 702}


# Maps and loops.


def doubling(desk):
    s = desk.stages(a=("x -> y: int", lambda f: {"y": 2 * f["x"]}))
    return s["a"]


def map_over(body, *, width=2, none=()):
    return MapNode(
        body=body,
        over="parts",
        each="x",
        collect={"y": "ys"},
        holes_are_none=frozenset(none),
        width=width,
    )


async def test_a_map_keeps_the_order_of_its_elements_and_leaves_lists_only(desk):
    a = doubling(desk)

    async def slower_first(fields):
        for _ in range(4 - fields["x"]):
            await asyncio.sleep(0)
        return {"y": 2 * fields["x"]}

    flow = map_over(chain(replace(a, stage=Counter("a", slower_first))), width=3)
    end = await desk.run(flow, outputs=["ys", "x"])
    assert end.result.outputs == {"ys": [2, 4, 6], "x": 1}
    paths = [(r.path, r.stage) for r in [*desk.records, end.stage]]
    assert sorted(paths) == [(f"map.1/{n}/a", "a") for n in range(3)]
    assert list(end.result.timings.stages) == ["a"]


async def test_a_stage_is_told_where_in_its_run_it_is(desk):
    a, seen = doubling(desk), []

    async def looks(_fields, run):
        seen.append(run.path)
        return StageOutcome(outputs={"y": 0})

    looks.version = "v"
    await desk.run(map_over(chain(replace(a, stage=looks))), outputs=["ys"])
    assert sorted(seen) == [f"map.1/{n}/a" for n in range(3)]


async def test_a_map_over_nothing_makes_empty_lists(desk):
    a = doubling(desk)
    end = await desk.run(
        map_over(chain(a)), outputs=["ys"], inputs={"x": 1, "parts": []}
    )
    assert (end.result.outputs, end.result.sequence) == ({"ys": []}, 0)


async def test_the_first_element_that_fails_ends_the_map(desk):
    a = doubling(desk)

    def fails(fields):
        if fields["x"] == 2:
            refuse("a")(None)
        return {"y": 0}

    stage = Counter("a", fails)
    flow = map_over(chain(replace(a, stage=stage)), width=1)
    end = await desk.run(flow, outputs=["ys"])
    assert (end.result.status, end.stage.path, stage.runs) == (
        "ERROR",
        "map.1/1/a",
        2,
    )


async def test_no_element_of_a_map_begins_after_the_deadline(bench, desk):
    a = doubling(desk)

    def slow(_fields):
        bench.clock.advance(1)
        return {"y": 0}

    stage = Counter("a", slow)
    flow = map_over(chain(replace(a, stage=stage)), width=1)
    end = await desk.run(
        flow,
        outputs=["ys"],
        inputs={"x": 1, "parts": list(range(100))},
        deadline_ms=bench.clock.now_ms() + 3_500,
    )
    assert (end.result.status, stage.runs) == ("EXPIRED", 4)


async def test_a_thousand_elements_are_never_a_thousand_tasks(desk):
    a = doubling(desk)
    most = []

    async def looks(fields):
        most.append(len(asyncio.all_tasks()))
        await asyncio.sleep(0)
        return {"y": fields["x"]}

    flow = map_over(chain(replace(a, stage=Counter("a", looks))), width=8)
    end = await desk.run(
        flow, outputs=["ys"], inputs={"x": 1, "parts": list(range(1_000))}
    )
    assert end.result.outputs["ys"] == list(range(1_000))
    assert max(most) <= 8 + 1


def loop_of(body, condition, *, before, most=5):
    return LoopNode(
        body=body,
        condition=When(condition, frozenset({"x"})),
        before=before,
        max_iterations=most,
        makes=("x",),
    )


@pytest.mark.parametrize(
    ("before", "condition", "runs"),
    [
        (False, lambda v: v["x"] >= 3, 2),
        (False, lambda _: True, 1),
        (False, lambda _: False, 5),
        (True, lambda v: v["x"] < 3, 2),
        (True, lambda _: False, 0),
        (True, lambda _: True, 5),
    ],
)
async def test_a_loop_asks_after_or_before_and_ends_at_its_bound(
    desk, before, condition, runs
):
    s = desk.stages(a=("x -> x: int", lambda f: {"x": f["x"] + 1}))
    end = await desk.run(loop_of(chain(s["a"]), condition, before=before))
    assert (end.result.outputs, s["a"].stage.runs) == ({"x": 1 + runs}, runs)
    paths = [r.path for r in [*desk.records, end.stage] if r]
    assert paths == [f"loop.1/{n}/a" for n in range(runs)]


async def test_what_is_made_further_down_is_missing_in_the_first_iteration(desk):
    s = desk.stages(
        b=("x -> y: int", add(10)),
        a=("x, y -> x: int", lambda f: {"x": f["x"] + f["y"]}),
    )
    a = replace(s["a"], instead_of_holes={"y": 0})
    flow = loop_of(chain(a, s["b"]), lambda _: False, before=False, most=2)
    end = await desk.run(flow)
    assert end.result.outputs == {"x": 12}, "1 + 0, and + 11 of the first iteration"


async def test_maps_and_loops_inside_each_other_are_told_apart(desk):
    a = doubling(desk)
    inner = map_over(chain(a), width=1)
    flow = loop_of(chain(inner), lambda _: False, before=False, most=2)
    end = await desk.run(flow, outputs=["ys"], inputs={"x": 1, "parts": [1, 2]})
    paths = [r.path for r in [*desk.records, end.stage]]
    assert paths == [f"loop.1/{n}/map.1/{m}/a" for n in range(2) for m in range(2)]


# Policies.


async def test_a_skipped_stage_leaves_holes_and_the_result_is_partial(bench, desk):
    s = desk.stages(
        a=("x -> p: int", refuse("a")),
        b=("p -> q: int", lambda f: {"q": f["p"]}),
        c=("x -> y: int", add(1)),
    )
    flow = chain(replace(s["a"], on_failure=SKIP), s["b"], s["c"])
    end = await desk.run(flow, outputs=["p", "q", "y"])
    result = end.result
    assert (result.status, result.outputs) == (
        "PARTIAL",
        {"p": None, "q": None, "y": 2},
    )
    assert (result.error.code, result.error.stage) == ("model.refused", "a")
    assert (s["b"].stage.runs, end.bug) == (0, None)
    seen = [(r.stage, r.event, r.status) for r in [*desk.records, end.stage]]
    assert seen == [
        ("a", "finished", "ERROR"),
        ("b", "skipped", "ERROR"),
        ("c", "finished", "OK"),
    ]
    assert desk.records[1].error == result.error
    assert result.sequence == 3
    key = ("penstock_runs_total", ("code", "model.refused"))
    assert any(k[:2] == key for k in bench.recorder.counts)


async def test_a_hole_that_nobody_asks_for_leaves_the_result_whole(desk):
    s = desk.stages(
        a=("x -> p: int", refuse("a")),
        b=("p, x -> y: int", lambda f: {"y": f["p"] + f["x"]}),
    )
    b = replace(s["b"], instead_of_holes={"p": 40})
    flow = chain(replace(s["a"], on_failure=SKIP), b)
    end = await desk.run(flow, outputs=["y"])
    assert (end.result.status, end.result.outputs) == ("OK", {"y": 41})


async def test_a_failed_stage_drops_the_older_value_of_its_output(desk):
    s = desk.stages(a=("x -> x: int", refuse("a")))
    end = await desk.run(chain(replace(s["a"], on_failure=SKIP)))
    assert (end.result.status, end.result.outputs) == ("PARTIAL", {"x": None})


async def test_a_hole_in_a_condition_or_a_list_makes_holes_of_all_behind_it(desk):
    s = desk.stages(
        a=("x -> parts: list[int]", refuse("a")),
        b=("x -> y: int", add(1)),
    )
    skipped = chain(replace(s["a"], on_failure=SKIP))
    when = WhenNode(
        condition=When(lambda _: True, frozenset({"parts"})),
        then=chain(s["b"]),
        otherwise=chain(),
        makes=("y",),
    )
    end = await desk.run(chain(skipped, when))
    assert (end.result.status, end.result.outputs) == ("PARTIAL", {"y": None})
    end = await desk.run(chain(skipped, map_over(chain(s["b"]))), outputs=["ys"])
    assert (end.result.status, end.result.outputs) == ("PARTIAL", {"ys": None})
    loop = replace(
        loop_of(chain(s["b"]), None, before=True),
        condition=When(None, frozenset({"parts"})),
        makes=("y",),
    )
    end = await desk.run(chain(skipped, loop))
    assert (end.result.status, end.result.outputs) == ("PARTIAL", {"y": None})
    assert s["b"].stage.runs == 0


@pytest.mark.parametrize(("none", "expected"), [(["ys"], [2, None, 6]), ([], None)])
async def test_a_hole_in_an_element_is_none_or_makes_a_hole_of_the_list(
    desk, none, expected
):
    a = doubling(desk)

    def odd(fields):
        if fields["x"] == 2:
            refuse("a")(None)
        return {"y": 2 * fields["x"]}

    a = replace(a, stage=Counter("a", odd), on_failure=SKIP)
    end = await desk.run(map_over(chain(a), none=none), outputs=["ys"])
    assert end.result.outputs == {"ys": expected}
    assert end.result.status == ("OK" if none else "PARTIAL")


async def test_a_default_stands_in_and_the_failure_is_on_record(bench, desk):
    s = desk.stages(
        a=("x -> p: int", refuse("a")), b=("p -> y: int", lambda f: {"y": f["p"]})
    )
    flow = chain(replace(s["a"], on_failure=UseDefault(outputs={"p": 9})), s["b"])
    end = await desk.run(flow)
    assert (end.result.status, end.result.outputs) == ("OK", {"y": 9})
    [record] = desk.records
    assert (record.status, record.error.code) == ("ERROR", "model.refused")
    [entry] = [e for e in bench.entries if isinstance(e, StageEntry)]
    assert (entry.site, entry.error.code) == ("a", "model.refused")


def standing_in(desk, function):
    """Return stage a, which fails, and b, which makes the same."""
    reader = ("y -> w: int", lambda f: {"w": f["y"]})
    a, b = ("x -> y: int", refuse("a")), ("x -> y: int", function)
    return desk.stages(a=a, reader=reader, b=b)


async def test_a_stage_stands_in_with_a_record_of_its_own(desk):
    s = standing_in(desk, add(70))
    flow = chain(replace(s["a"], on_failure=UseStage(stage=s["b"])))
    end = await desk.run(flow)
    assert (end.result.status, end.result.outputs) == ("OK", {"y": 71})
    assert [(r.stage, r.sequence) for r in [*desk.records, end.stage]] == [
        ("a", 1),
        ("b", 2),
    ]


async def test_a_stand_in_that_fails_too_does_as_its_own_policy_says(desk):
    s = standing_in(desk, refuse("b"))
    end = await desk.run(chain(replace(s["a"], on_failure=UseStage(stage=s["b"]))))
    assert (end.result.status, end.result.error.stage) == ("ERROR", "b")
    b = replace(s["b"], on_failure=SKIP)
    end = await desk.run(chain(replace(s["a"], on_failure=UseStage(stage=b))))
    assert (end.result.status, end.result.error.stage) == ("PARTIAL", "b")


async def test_a_deadline_is_no_failure_that_a_policy_helps_with(bench, desk):
    s = desk.stages(a=("x -> p: int", add(1)), b=("x -> y: int", add(1)))

    def late(_fields):
        bench.clock.advance(10)
        return {"p": 1}

    a = replace(s["a"], stage=Counter("a", late))
    b = replace(s["b"], on_failure=UseDefault(outputs={"y": 0}))
    end = await desk.run(chain(a, b), deadline_ms=bench.clock.now_ms() + 1_000)
    assert (end.result.status, b.stage.runs) == ("EXPIRED", 0)


# Events.


async def test_a_pipeline_that_says_all_tells_of_beginnings_and_percents(desk):
    a = doubling(desk)
    flow = map_over(chain(a), width=1)
    end = await desk.run(
        flow, outputs=["ys"], progress="all", inputs={"x": 1, "parts": [5, 6]}
    )
    assert end.stage is None, "the last event is a percent"
    seen = [(r.sequence, r.event, r.path, r.percent) for r in desk.records]
    assert seen == [
        (1, "started", "map.1/0/a", None),
        (2, "finished", "map.1/0/a", None),
        (3, "percent", "map.1", 50),
        (4, "started", "map.1/1/a", None),
        (5, "finished", "map.1/1/a", None),
        (6, "percent", "map.1", 100),
    ]
    assert end.result.sequence == 6


async def test_percents_of_a_long_map_are_a_hundred_at_most(desk):
    a = doubling(desk)
    flow = map_over(chain(a), width=4)
    await desk.run(
        flow,
        outputs=["ys"],
        progress="all",
        inputs={"x": 1, "parts": list(range(333))},
    )
    percents = [r.percent for r in desk.records if r.event == "percent"]
    assert percents == list(range(1, 101))


async def test_what_ended_while_another_stage_runs_is_emitted_at_once(desk):
    release = asyncio.Event()

    async def waits(_fields):
        await release.wait()
        return {"p": 1}

    s = desk.stages(a=("x -> p: int", waits), b=("x -> y: int", add(1)))
    flow = ParallelNode(branches={"one": chain(s["a"]), "two": chain(s["b"])})
    emitted = asyncio.Event()

    def emit(progress):
        desk.bench.emitted.append(progress)
        emitted.set()

    task = asyncio.create_task(desk.run(flow, start={"emit": emit}))
    await emitted.wait()
    assert [record.stage for record in desk.records] == ["b"]
    release.set()
    end = await task
    assert end.stage.stage == "a"
    assert end.result.outputs == {"y": 2}
