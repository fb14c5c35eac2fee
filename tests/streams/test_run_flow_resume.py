"""A flow that another worker takes up ends alike, wherever it was cut."""

import asyncio
import json
from dataclasses import replace
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import ErrorInfo, Usage
from streams.errors import ModelRefusedError
from streams.journal import (
    CallEntry,
    Journal,
    RunHeader,
    StageEntry,
    pack,
    unpack,
)
from streams.planned import (
    SKIP,
    FallbackNode,
    LoopNode,
    MapNode,
    ParallelNode,
    StageNode,
    WhenNode,
)
from streams.stage import Answer
from tests.streams.nodes import When, chain

DESK = """
pipeline: desk
version: 2
input: "ticket: str, parts: list[str], part: str"
output: "{output}"
lms: {{small: {{model: scripted}}}}
stages:
  facts: {{ask: "ticket -> facts"}}
  tone: {{ask: "ticket -> tone", instructions: "2"}}
  sum_up: {{ask: "part, facts -> note", instructions: "2"}}
  extra: {{ask: "tone -> extra"}}
  weigh: {{ask: "tone -> tone2"}}
  draft: {{ask: "facts, tone -> reply"}}
  careful: {{ask: "reply -> checked"}}
  broken: {{ask: "checked -> never"}}
  quick: {{ask: "reply -> checked2"}}
flow: [facts, tone, sum_up, extra, weigh, draft, careful, broken, quick]
"""
OUTPUTS = "facts, tone, extra, tone2, reply, checked, never, checked2"
PARTS = ["a", "b", "c", "d", "e"]
MAKES = {
    "facts": "facts",
    "tone": "tone",
    "sum_up": "note",
    "extra": "extra",
    "weigh": "tone2",
    "draft": "reply",
    "careful": "checked",
    "broken": "never",
    "quick": "checked2",
}


class Model:
    """An LM whose answers depend on the call alone; ``broken`` and ``extra`` fail."""

    name = "small"
    fingerprint = "model"

    def __init__(self, turns):
        self.paid = []
        self._turns = turns

    def available(self):
        return True

    async def complete(self, stage, call):
        content = call.messages[0]["content"]
        for _ in range(1 + self._turns(content)):
            await asyncio.sleep(0)
        if stage in {"broken", "extra"}:
            raise ModelRefusedError(stage, self.name, "no")
        self.paid.append(call.request_id)
        said = sha256(content.encode()).hexdigest()[:8]
        return Answer(text=json.dumps({MAKES[stage]: said}), usage=Usage(calls=1))


def desk_of(bench, progress):
    """Return a pipeline with every kind of node in its flow."""
    pipeline = bench.compile(DESK.format(output=OUTPUTS))
    s = {stage.name: stage for stage in pipeline.stages}
    flow = chain(
        ParallelNode(
            branches={"facts": StageNode(stage=s["facts"]), "tone": chain(s["tone"])}
        ),
        ParallelNode(
            branches={
                "notes": MapNode(
                    body=StageNode(stage=s["sum_up"]),
                    over="parts",
                    each="part",
                    collect={"note": "notes"},
                    holes_are_none=frozenset(),
                    width=2,
                ),
                "extra": chain(replace(s["extra"], on_failure=SKIP)),
            }
        ),
        LoopNode(
            body=chain(s["weigh"], s["draft"]),
            condition=When(lambda _: False, frozenset({"reply"})),
            before=False,
            max_iterations=3,
            makes=("tone2", "reply"),
        ),
        FallbackNode(
            alternatives=(chain(s["careful"], s["broken"]), chain(s["quick"])),
            makes=("checked", "never", "checked2"),
        ),
        WhenNode(
            condition=When(lambda _: True, frozenset({"extra"})),
            then=chain(s["careful"]),
            otherwise=chain(),
            makes=("checked",),
        ),
    )
    some = pipeline.outputs[0]
    outputs = (*pipeline.outputs, replace(some, name="notes"))
    return replace(pipeline, flow=flow, outputs=outputs, progress=progress)


async def work(new_bench, progress, turns, journal, stop_after=None):
    """Run the desk on a journal; stop when *stop_after* were emitted, as if killed.

    Return the end, or None, what was settled, and the calls that were paid.
    """
    bench = new_bench(lm=Model(turns))
    entries = tuple(unpack(pack(e)) for p in journal for e in p.entries)
    pipeline = desk_of(bench, progress)
    start = {"journal": Journal.of(entries)}
    inputs = {"ticket": "broken", "parts": PARTS, "part": ""}
    end = await bench.run(pipeline, inputs=inputs, start=start)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    if stop_after is not None and stop_after < len(bench.emitted):
        return None, bench.emitted[:stop_after], bench.lm.paid
    return end, bench.emitted, bench.lm.paid


def settled_calls(settled):
    """Return the ids of the calls that *settled* entries stand for."""
    found = set()
    for entry in (e for p in settled for e in p.entries):
        if isinstance(entry, CallEntry):
            found.add(f"r1/{entry.site}/{entry.ordinal}")
        if isinstance(entry, StageEntry):
            calls = entry.usage.calls + entry.usage.cached_calls
            found |= {f"r1/{entry.site}/{n}" for n in range(calls)}
    return found


def records_of(settled, end):
    """Return all stage records of the request, in the order of settling."""
    records = [p.stage for p in settled if p.stage is not None]
    return records if end.stage is None else [*records, end.stage]


def pace(rng):
    """Return how many turns of the loop each call takes."""
    return lambda _content: rng.randrange(5)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    progress=st.sampled_from(["finished", "all"]),
)
def test_wherever_workers_are_killed_the_last_ends_alike_and_pays_only_the_rest(
    new_bench, seed, cuts, progress
):
    rng = Random(seed)  # noqa: S311 - how long calls take

    async def check():
        whole, all_settled, all_paid = await work(new_bench, progress, pace(rng), [])
        assert (whole.result.status, len(all_paid)) == ("PARTIAL", len(set(all_paid)))
        settled = []
        for cut in [*cuts, None]:
            known = settled_calls(settled)
            end, more, paid = await work(new_bench, progress, pace(rng), settled, cut)
            assert not known & set(paid), "a finished call was paid twice"
            assert known | set(paid) == set(all_paid) or end is None
            settled += more
            if end is not None:
                break
        assert end.result.outputs == whole.result.outputs
        assert end.result.status == whole.result.status
        assert end.result.error == whole.result.error
        assert list(end.result.timings.stages) != []
        usage = end.result.usage
        assert usage.calls + usage.cached_calls == len(all_paid)
        records = records_of(settled, end)
        numbers = [record.sequence for record in records]
        assert numbers == list(range(1, len(numbers) + 1)), "a gap, or a number twice"
        assert end.result.sequence == numbers[-1]
        ended = [
            (r.path, r.event, r.status)
            for r in records
            if r.event in {"finished", "skipped"}
        ]
        assert len(ended) == len(set(ended)), "a stage ended twice"
        expected = records_of(all_settled, whole)
        assert sorted(ended) == sorted(
            (r.path, r.event, r.status)
            for r in expected
            if r.event in {"finished", "skipped"}
        )

    asyncio.run(check())


@pytest.mark.parametrize("moment", range(0, 40, 3))
async def test_a_worker_that_is_cancelled_leaves_all_that_was_answered(
    new_bench, moment
):
    bench = new_bench(lm=Model(lambda content: len(content) % 4))
    inputs = {"ticket": "broken", "parts": PARTS, "part": ""}
    task = asyncio.create_task(
        bench.run(desk_of(bench, "finished"), inputs=inputs, start=None)
    )
    for _ in range(moment):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert settled_calls(bench.emitted) == set(bench.lm.paid)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    end, more, paid = await work(
        new_bench, "finished", lambda content: len(content) % 3, bench.emitted
    )
    assert not set(paid) & set(bench.lm.paid)
    numbers = [r.sequence for r in records_of([*bench.emitted, *more], end)]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_of_a_map_over_a_thousand_elements_only_the_rest_is_run(new_bench):
    async def run(journal):
        bench = new_bench(lm=Model(lambda _: 0))
        s = {p.name: p for p in bench.compile(DESK.format(output=OUTPUTS)).stages}
        pipeline = desk_of(bench, "finished")
        flow = chain(s["facts"], pipeline.flow.nodes[1].branches["notes"])
        some = pipeline.outputs[0]
        pipeline = replace(pipeline, flow=flow, outputs=(replace(some, name="notes"),))
        parts = [str(n) for n in range(1_000)]
        inputs = {"ticket": "broken", "parts": parts, "part": ""}
        entries = tuple(e for p in journal for e in p.entries)
        start = {"journal": Journal.of(entries)}
        return await bench.run(pipeline, inputs=inputs, start=start), bench

    whole, first = await run([])
    kept, elements = [], 0
    for progress in first.emitted:
        kept.append(progress)
        elements += progress.stage is not None and progress.stage.stage == "sum_up"
        if elements == 600:
            break
    end, second = await run(kept)
    assert end.result.outputs == whole.result.outputs
    assert len(second.stages["sum_up"].seen) == 400
    assert second.stages["facts"].seen == []
    assert end.result.sequence == whole.result.sequence == 1_001
    assert len(second.lm.paid) == 2_001 - len(settled_calls(kept))


async def test_percents_that_an_earlier_worker_told_are_not_told_again(new_bench):
    _, settled, _ = await work(new_bench, "all", lambda _: 0, [])
    told = [p.stage for p in settled if p.stage and p.stage.event == "percent"]
    kept = settled[: settled.index(next(p for p in settled if p.stage is told[3])) + 1]
    end, more, _ = await work(new_bench, "all", lambda _: 0, kept)
    again = [r for r in records_of(more, end) if r.event == "percent"]
    assert [(r.path, r.percent) for r in again] == [
        (r.path, r.percent) for r in told[4:]
    ]
    begun = [r for r in records_of(more, end) if r.event == "started"]
    assert {r.attempts for r in begun} == {2}


async def test_a_failure_that_was_settled_is_not_tried_again(new_bench):
    _, settled, _ = await work(new_bench, "finished", lambda _: 0, [])
    bench = new_bench(lm=Model(lambda _: 0))
    entries = tuple(e for p in settled for e in p.entries)
    inputs = {"ticket": "broken", "parts": PARTS, "part": ""}
    start = {"journal": Journal.of(entries)}
    end = await bench.run(desk_of(bench, "finished"), inputs=inputs, start=start)
    assert bench.stages["extra"].seen == bench.stages["broken"].seen == []
    assert (end.result.status, end.result.error.stage) == ("PARTIAL", "extra")


async def test_a_stage_that_the_deadline_ended_may_be_asked_again(bench):
    desk = desk_of(bench, "finished")
    facts = chain(desk.stages[0])
    desk = replace(desk, flow=facts, outputs=desk.outputs[:1])
    header = RunHeader(
        pipeline_version=2, fingerprint=desk.fingerprint, started_ms=1, attempt=1
    )
    entry = StageEntry(
        site="facts",
        sequence=4,
        version="ask@facts",
        fingerprint=desk.fingerprint,
        outputs={},
        usage=Usage(),
        started_ms=1,
        duration_ms=2,
        attempts=1,
        error=ErrorInfo(code="request.deadline", message="late"),
    )
    bench.lm.say("facts", {"facts": "known"})
    start = {"journal": Journal.of((header, entry))}
    inputs = {"ticket": "broken", "parts": PARTS, "part": ""}
    end = await bench.run(desk, inputs=inputs, start=start)
    assert (end.result.status, end.stage.sequence) == ("OK", 5)


async def test_a_changed_pipeline_goes_on_counting(new_bench):
    _, settled, _ = await work(new_bench, "finished", lambda _: 0, [])
    entries = tuple(e for p in settled for e in p.entries)
    bench = new_bench(lm=Model(lambda _: 0))
    desk = replace(desk_of(bench, "finished"), fingerprint="another")
    inputs = {"ticket": "broken", "parts": PARTS, "part": ""}
    start = {"journal": Journal.of(entries)}
    end = await bench.run(desk, inputs=inputs, start=start)
    numbers = [r.sequence for r in records_of([*settled, *bench.emitted], end)]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("lost", [0, 4])
async def test_percents_of_a_map_never_go_back(new_bench, lost):
    _, settled, _ = await work(new_bench, "all", lambda _: 0, [])
    path = f"map.1/{lost}/sum_up"
    kept = [p for p in settled if not (p.stage and p.stage.path == path)]
    _, more, _ = await work(new_bench, "all", lambda _: 0, kept)
    again = [p.stage for p in more if p.stage and p.stage.event == "percent"]
    assert [r.percent for r in again if r.path == "map.1"] == [100]


async def test_a_stage_that_the_deadline_left_no_time_is_not_said_to_have_started(
    bench,
):
    desk = desk_of(bench, "all")
    desk = replace(desk, flow=chain(*desk.stages[:2]), outputs=desk.outputs[:1])

    async def slowly():
        bench.clock.advance(60)
        return {"facts": "known"}

    bench.lm.say("facts", slowly)
    inputs = {"ticket": "broken", "parts": PARTS, "part": ""}
    deadline_ms = bench.clock.now_ms() + 30_000
    end = await bench.run(desk, inputs=inputs, deadline_ms=deadline_ms)
    assert end.result.status == "EXPIRED"
    told = [(r.path, r.event) for r in records_of(bench.emitted, end)]
    assert told == [("facts", "started"), ("facts", "finished")]
