"""A run ends in exactly one result: what it says, and what was emitted before it."""

import asyncio
from dataclasses import replace

import pytest

from schemas.records import Source, Usage
from streams.errors import (
    ModelBusyError,
    ModelRefusedError,
    ModelUnavailableError,
    StageInputError,
)
from streams.journal import CallEntry, RunHeader, StageEntry
from streams.stage import StageOutcome
from tests.streams.nodes import chained
from tests.streams.permits import LatePermit

DESK = """
pipeline: desk
version: 2
input: "ticket: str, tier: Literal['free', 'pro'] = 'free'"
output: "category, reply: str"
lms: {small: {model: scripted}}
stages:
  classify: {ask: "ticket -> category: Literal['billing', 'bug']", attempts: 3}
  draft: {ask: "ticket, category -> reply", attempts: 3, timeout: 8s}
flow: [classify, draft]
"""
SORTED = {"category": "bug"}
DRAFTED = {"reply": "Sorry!"}


@pytest.fixture
def desk(bench):
    return bench.compile(DESK)


@pytest.fixture
def well(bench):
    """An LM that answers both stages well."""
    bench.lm.say("classify", SORTED)
    bench.lm.say("draft", DRAFTED)


def with_stage(desk, call):
    """Return *desk* with *call* in the place of its first stage."""
    call.version = "call@1"
    first, *others = desk.stages
    return chained(desk, replace(first, stage=call), *others)


# What comes out.


@pytest.mark.usefixtures("well")
async def test_all_stages_are_run_and_the_outputs_are_the_pipelines(bench, desk):
    end = await bench.run(desk)
    result = end.result
    assert (result.status, result.error, end.bug) == ("OK", None, None)
    assert result.outputs == {"category": "bug", "reply": "Sorry!"}
    assert (result.request_id, result.pipeline, result.pipeline_version) == (
        "r1",
        "desk",
        2,
    )
    assert result.versions == {"classify": "ask@classify", "draft": "ask@draft"}
    assert result.usage == Usage(calls=2, input_tokens=20, output_tokens=4)
    assert (result.session_id, result.turn, end.session) == (None, None, None)


@pytest.mark.usefixtures("well")
async def test_a_stage_is_given_its_inputs_and_nothing_else(bench, desk):
    await bench.run(desk)
    assert bench.stages["classify"].seen == [({"ticket": "broken"}, ())]
    assert bench.stages["draft"].seen == [
        ({"ticket": "broken", "category": "bug"}, ()),
    ]


@pytest.mark.usefixtures("well")
async def test_every_stage_but_the_last_is_emitted_when_it_finished(bench, desk):
    end = await bench.run(desk, request_id="r9", start={"replay": 1})
    (progress,) = bench.emitted
    header, entry = progress.entries
    assert header == RunHeader(
        pipeline_version=2,
        fingerprint=desk.fingerprint,
        started_ms=bench.clock.now_ms(),
        attempt=1,
    )
    record = progress.stage
    assert (entry.site, entry.sequence, entry.version) == (
        "classify",
        1,
        "ask@classify",
    )
    assert (entry.outputs, entry.fingerprint) == (SORTED, desk.fingerprint)
    assert (record.stage, record.sequence, record.outputs) == ("classify", 1, SORTED)
    assert (end.stage.stage, end.stage.sequence, end.stage.outputs) == (
        "draft",
        2,
        DRAFTED,
    )
    for each in (record, end.stage, end.result):
        assert (each.request_id, each.replay) == ("r9", 1)
        assert each.source == Source(
            topic="penstock.desk.requests", partition=0, offset=7
        )


async def test_where_the_time_went_is_in_the_result(bench, desk):
    async def slow():
        bench.clock.advance(1.25)
        return SORTED

    bench.lm.say("classify", slow)
    bench.lm.say("draft", DRAFTED)
    timestamp_ms = bench.clock.now_ms() - 300
    end = await bench.run(desk, start={"timestamp_ms": timestamp_ms})
    timings = end.result.timings
    assert (timings.queued_ms, timings.running_ms) == (300, 1_250)
    assert timings.stages == {"classify": 1_250, "draft": 0}
    assert bench.emitted[0].stage.duration_ms == 1_250


async def test_a_record_from_the_future_has_not_waited(bench, desk):
    timestamp_ms = bench.clock.now_ms() + 5_000
    end = await bench.run(desk, start={"timestamp_ms": timestamp_ms}, inputs={})
    assert end.result.timings.queued_ms == 0


async def test_extra_outputs_of_a_stage_are_left_out(bench, desk):
    bench.lm.say("classify", SORTED | {"mood": "bad"})
    bench.lm.say("draft", DRAFTED)
    await bench.run(desk)
    assert bench.emitted[0].stage.outputs == SORTED


@pytest.mark.usefixtures("well")
async def test_unknown_inputs_are_ignored_and_counted(bench, desk):
    end = await bench.run(desk, inputs={"ticket": "broken", "mood": "bad"})
    assert end.result.status == "OK"
    assert bench.recorder.total("penstock_inputs_ignored_total") == 1


@pytest.mark.usefixtures("well")
async def test_runs_and_attempts_are_counted_with_their_codes(bench, desk):
    await bench.run(desk)
    await bench.run(desk, inputs={})
    runs = {k: n for k, n in bench.recorder.counts.items() if "runs" in k[0]}
    assert runs == {
        (
            "penstock_runs_total",
            ("code", ""),
            ("pipeline", "desk"),
            ("status", "OK"),
        ): 1,
        (
            "penstock_runs_total",
            ("code", "request.inputs"),
            ("pipeline", "desk"),
            ("status", "REJECTED"),
        ): 1,
    }
    assert bench.recorder.total("penstock_stage_attempts_total") == 2
    assert [name for name, _, _ in bench.recorder.observed] == [
        "penstock_stage_seconds",
        "penstock_stage_seconds",
        "penstock_run_seconds",
        "penstock_run_seconds",
    ]


# Before the first stage.


REFUSALS = [
    ({"pipeline": "x"}, ("REJECTED", "request.pipeline", "pipeline")),
    ({"pipeline_version": 1}, ("REJECTED", "request.version", "pipeline_version")),
    ({"mode": "DRY_RUN"}, ("REJECTED", "request.mode", "mode")),
    ({"deadline_ms": 1}, ("EXPIRED", "request.deadline", None)),
    ({"inputs": {}}, ("REJECTED", "request.inputs", "ticket")),
]


@pytest.mark.parametrize(("request_", "refusal"), REFUSALS)
async def test_what_cannot_run_is_refused_before_any_stage(
    bench, desk, request_, refusal
):
    end = await bench.run(desk, **request_)
    error = end.result.error
    assert (end.result.status, error.code, error.field) == refusal
    assert (end.result.outputs, end.stage, bench.emitted) == (None, None, [])
    assert bench.lm.asked == []


@pytest.mark.parametrize("first", range(4))
async def test_of_several_reasons_the_first_is_told(bench, desk, first):
    wrong = {}
    for request_, _ in REFUSALS[first:]:
        wrong |= request_
    end = await bench.run(desk, **wrong)
    assert end.result.error.code == REFUSALS[first][1][1]


async def test_a_rejection_names_every_field(bench, desk):
    end = await bench.run(desk, inputs={"ticket": 1, "tier": "gold"})
    assert end.result.error.message == (
        "ticket: expected str, got int; "
        "tier: expected one of 'free', 'pro', got another"
    )


@pytest.mark.usefixtures("well")
async def test_the_version_that_runs_may_be_asked_for(bench, desk):
    assert (await bench.run(desk, pipeline_version=2)).result.status == "OK"


async def test_a_deadline_right_now_is_past(bench, desk):
    end = await bench.run(desk, deadline_ms=bench.clock.now_ms())
    assert end.result.status == "EXPIRED"


# Attempts.


def unavailable():
    return ModelUnavailableError("classify", "small", "500")


async def test_a_failed_attempt_is_repeated_and_the_answers_counted(bench, desk):
    bench.lm.say("classify", unavailable(), unavailable(), SORTED)
    bench.lm.say("draft", DRAFTED)
    began_s = bench.clock.monotonic_s()
    end = await bench.run(desk)
    assert end.result.status == "OK"
    assert bench.emitted[0].stage.attempts == 3
    assert end.stage.attempts == 1
    assert bench.clock.monotonic_s() > began_s


async def test_the_last_attempt_is_the_end(bench, desk):
    bench.lm.say("classify", *[unavailable() for _ in range(3)])
    end = await bench.run(desk)
    error = end.result.error
    assert (end.result.status, error.code) == ("ERROR", "model.unavailable")
    assert (error.stage, error.retryable) == ("classify", True)
    assert (end.stage.status, end.stage.attempts, end.stage.outputs) == (
        "ERROR",
        3,
        None,
    )
    assert end.stage.error == error
    assert (end.stage.sequence, len(bench.lm.asked), bench.emitted) == (1, 3, [])


@pytest.mark.parametrize(
    "error",
    [ModelRefusedError("classify", "small", "401"), StageInputError("classify", "odd")],
)
async def test_what_will_not_change_is_not_repeated(bench, desk, error):
    bench.lm.say("classify", error)
    end = await bench.run(desk)
    assert (end.result.error.code, len(bench.lm.asked)) == (error.code, 1)


@pytest.mark.parametrize(
    ("asked_s", "waited_s"), [(7.0, 7.0), (86_400.0, 60.0), (None, 0.2)]
)
async def test_a_busy_lm_is_left_alone_as_long_as_it_asks(
    bench, desk, asked_s, waited_s
):
    bench.lm.say("classify", ModelBusyError("classify", "small", "429", asked_s))
    bench.lm.say("classify", SORTED)
    bench.lm.say("draft", DRAFTED)
    began_s = bench.clock.monotonic_s()
    assert (await bench.run(desk)).result.status == "OK"
    took_s = bench.clock.monotonic_s() - began_s
    assert waited_s / 2 <= took_s <= waited_s


async def test_no_wait_outlives_the_deadline(bench, desk):
    bench.lm.say("classify", ModelBusyError("classify", "small", "429", 7.0))
    end = await bench.run(desk, deadline_ms=bench.clock.now_ms() + 5_000)
    assert (end.result.status, end.result.error.code) == ("ERROR", "model.busy")
    assert end.stage.attempts == 1


async def test_an_answer_that_does_not_fit_is_asked_for_anew_at_once(bench, desk):
    bench.lm.say("classify", "no JSON", {"category": "weather"}, SORTED)
    bench.lm.say("draft", DRAFTED)
    began_s = bench.clock.monotonic_s()
    end = await bench.run(desk)
    assert end.result.status == "OK"
    assert bench.clock.monotonic_s() == began_s
    assert end.result.usage.calls == 4, "answers that could not be used were paid too"
    assert bench.lm.ids[:3] == [f"r1/classify/{n}" for n in range(3)]


async def test_answers_that_never_fit_are_an_error(bench, desk):
    bench.lm.say("classify", *[{"category": "weather"}] * 3)
    end = await bench.run(desk)
    error = end.result.error
    assert (error.code, end.stage.attempts) == ("stage.output", 3)
    assert error.message == (
        "classify: category: expected one of 'billing', 'bug', got another"
    )
    assert end.result.usage.calls == 3


# Time.


async def test_a_stage_has_its_timeout_for_each_attempt(bench, desk):
    bench.lm.say("classify", SORTED)
    bench.lm.say("draft", bench.hang, DRAFTED)
    end = await bench.run(desk)
    assert (end.result.status, end.stage.attempts) == ("OK", 2)


async def test_a_stage_that_never_answers_is_an_error(bench, desk):
    bench.lm.say("classify", SORTED)
    bench.lm.say("draft", bench.hang, bench.hang, bench.hang)
    end = await bench.run(desk)
    error = end.result.error
    assert (error.code, error.stage, error.retryable) == (
        "stage.timeout",
        "draft",
        True,
    )
    assert error.message == "draft: no answer within 8 s"


async def test_attempts_count_answers_not_outages(bench, desk):
    async def down():
        bench.lm.up = False
        await bench.hang()

    async def back():
        bench.lm.up = True
        await bench.hang()

    bench.lm.say("classify", SORTED)
    bench.lm.say("draft", down, bench.hang, bench.hang, bench.hang, back, DRAFTED)
    end = await bench.run(desk)
    assert (end.result.status, end.stage.attempts) == ("OK", 1)


async def test_the_deadline_ends_a_stage(bench, desk):
    bench.lm.say("classify", bench.hang)
    end = await bench.run(desk, deadline_ms=bench.clock.now_ms() + 5_000)
    assert (end.result.status, end.result.error.code) == ("EXPIRED", "request.deadline")
    assert (end.stage.stage, end.stage.status, end.stage.attempts) == (
        "classify",
        "EXPIRED",
        1,
    )
    assert end.result.error.stage == "classify"


async def test_nothing_is_begun_without_a_permit(bench, desk):
    stop = LatePermit()
    running = asyncio.create_task(bench.run(desk, start={"permit": stop}))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not bench.lm.asked
    stop.go.set()
    await running
    assert bench.lm.asked


async def test_a_request_whose_deadline_passed_without_a_permit_is_expired(bench, desk):
    stop = LatePermit()
    deadline_ms = bench.clock.now_ms() + 1_000
    running = asyncio.create_task(
        bench.run(desk, start={"permit": stop}, deadline_ms=deadline_ms)
    )
    await asyncio.sleep(0)
    bench.clock.advance(2)
    stop.go.set()
    assert (await running).result.status == "EXPIRED"
    assert not bench.lm.asked


async def test_a_late_stage_is_not_begun(bench, desk):
    async def slow():
        bench.clock.advance(6)
        return SORTED

    bench.lm.say("classify", slow)
    end = await bench.run(desk, deadline_ms=bench.clock.now_ms() + 5_000)
    assert end.result.status == "EXPIRED"
    assert "before stage draft, 1000 ms ago" in end.result.error.message
    assert (end.stage, len(bench.lm.asked)) == (None, 1)
    assert bench.emitted[0].stage.stage == "classify", "what finished is kept"


@pytest.mark.usefixtures("well")
async def test_within_its_deadline_a_request_is_answered(bench, desk):
    end = await bench.run(desk, deadline_ms=bench.clock.now_ms() + 5_000)
    assert end.result.status == "OK"


# Bugs.


async def test_any_other_exception_is_a_bug_with_its_cause(bench, desk):
    bug = ZeroDivisionError("division by zero")
    bench.lm.say("classify", bug)
    end = await bench.run(desk)
    error = end.result.error
    assert (end.result.status, error.code, error.stage) == (
        "ERROR",
        "stage.bug",
        "classify",
    )
    assert error.message == "classify: ZeroDivisionError: division by zero"
    assert (error.cause, end.bug) == ("ZeroDivisionError", bug)


@pytest.mark.parametrize(
    "bug",
    [
        SystemExit(3),
        asyncio.CancelledError("nobody cancelled us"),
        TimeoutError("not ours"),
    ],
)
async def test_nothing_that_a_stage_raises_escapes(bench, desk, bug):
    bench.lm.say("classify", SORTED)
    bench.lm.say("draft", bug)
    end = await bench.run(desk)
    assert (end.result.error.code, end.bug) == ("stage.bug", bug)


@pytest.mark.parametrize("left", [None, StageOutcome(outputs=None)])
async def test_a_stage_that_leaves_nonsense_has_a_bug(bench, desk, left):
    async def nonsense(_fields, _run):
        return left

    end = await bench.run(with_stage(desk, nonsense))
    assert end.result.error.code == "stage.bug"


# Cancellation.


async def test_cancellation_stops_a_run(bench, desk):
    async def cancelled():
        task.cancel()
        await bench.hang()

    bench.lm.say("classify", cancelled)
    task = asyncio.create_task(bench.run(desk))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.emitted == []


async def test_what_was_answered_before_a_cancellation_is_kept(bench, desk):
    bench.lm.say("classify", SORTED)

    original = bench.stages["classify"]

    async def waits(fields, run):
        await original(fields, run)
        task.cancel()
        await asyncio.Event().wait()

    task = asyncio.create_task(bench.run(with_stage(desk, waits)))
    with pytest.raises(asyncio.CancelledError):
        await task
    header, entry = bench.entries
    assert isinstance(header, RunHeader)
    assert (entry.site, entry.ordinal) == ("classify", 0)


# LM calls.

TWICE = """
pipeline: desk
version: 1
input: "ticket: str"
output: "reply"
lms: {small: {model: scripted}}
stages:
  draft: {ask: "ticket -> reply", instructions: "3", attempts: 3}
flow: [draft]
"""


async def test_a_stage_that_finishes_emits_no_calls(bench, desk):
    bench.lm.say("classify", SORTED)
    bench.lm.say("draft", DRAFTED)
    await bench.run(desk)
    assert [type(e) for e in bench.entries] == [RunHeader, StageEntry]


async def test_earlier_calls_are_emitted_when_the_next_one_begins(bench):
    twice = bench.compile(TWICE)

    async def second():
        assert [e.ordinal for e in bench.entries[1:]] == [0]
        return DRAFTED

    bench.lm.say("draft", DRAFTED, second, DRAFTED)
    end = await bench.run(twice)
    assert [type(e) for e in bench.entries] == [RunHeader, CallEntry, CallEntry]
    assert end.stage.usage.calls == 3


async def test_a_call_whose_answer_was_of_no_use_is_emitted(bench, desk):
    bench.lm.say("classify", "no JSON", SORTED)
    bench.lm.say("draft", DRAFTED)
    await bench.run(desk)
    assert [type(e) for e in bench.entries] == [RunHeader, CallEntry, StageEntry]


async def test_an_attempt_repeats_no_call_that_was_answered(bench):
    twice = bench.compile(TWICE)
    bench.lm.say("draft", DRAFTED, DRAFTED, unavailable(), DRAFTED)
    end = await bench.run(twice)
    assert (end.result.status, end.stage.attempts) == ("OK", 2)
    assert bench.lm.ids == [f"r1/draft/{n}" for n in (0, 1, 2, 2)]
    assert end.stage.usage == Usage(calls=3, input_tokens=30, output_tokens=6)


# Stages without calls.


async def test_a_stage_of_its_own_means_reports_what_it_used(bench, desk):
    async def own(_fields, _run):
        return StageOutcome(outputs=SORTED, usage=Usage(calls=7))

    bench.lm.say("draft", DRAFTED)
    end = await bench.run(with_stage(desk, own))
    assert end.result.usage.calls == 8


SOFT = """
pipeline: desk
version: 1
input: "ticket: str, reply: str = 'Obviously, you must wait.'"
output: "reply"
stages:
  polite: {transform: "examples.support:soften", inline: true}
flow: [polite]
"""


async def test_a_pipeline_may_do_without_any_lm(bench):
    end = await bench.run(bench.compile(SOFT))
    assert end.result.outputs["reply"].startswith("please wait.")
    assert (end.result.usage, bench.emitted) == (Usage(), [])
    assert end.stage.version.startswith("examples.support:soften@")
