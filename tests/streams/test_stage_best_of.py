"""best_of and refine are DSPy's: same messages, same winner; on the loop, journaled."""

# ruff: noqa: ARG001 - a reward has the parameters that a reward has
import asyncio
import json
import re
from functools import partial

import dspy
import pytest

from schemas.records import Usage
from streams.errors import (
    ConfigError,
    ModelBusyError,
    StageBugError,
    StageOutputError,
)
from streams.language.problems import Problems
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.language.tools import ToolUse
from streams.language.trials import Trials, read_trials
from streams.session import Turn
from streams.signatures.to_dspy import dspy_signature
from streams.signatures.types import HISTORY, INT, STR, Field, Limited
from streams.stage import Answer
from streams.stages.best_of import BestOf
from streams.stages.predict import build_predict
from streams.stages.react import build_react
from streams.stages.reason import build_reason
from streams.stages.refine import Refined
from streams.user_code import UserCode
from tests.streams.scripted import Desk, DirectScript, Script, said

INPUTS = (Field(name="ticket", type=STR), Field(name="tags", type=STR, required=False))
OUTPUTS = (Field(name="reply", type=STR), Field(name="words", type=INT))
CODE = UserCode([__name__])


def wordy(inputs, outputs):
    """Return a reward: how many words the LM says there are."""
    inputs["ticket"] = "spoilt"
    return outputs["words"] / 10


def wordy_for_dspy(args, pred):
    return pred.words / 10


async def wordy_later(inputs, outputs):
    await asyncio.sleep(0)
    return wordy(inputs, outputs)


def no_number(inputs, outputs):
    return "good"


def broken(inputs, outputs):
    return 1 / 0


def takes_one(inputs):
    return 0


def spec(manner="best_of", n=3, reward="wordy", threshold=1.0, **rest):
    trials = Trials(
        manner=manner,
        n=n,
        reward=f"{__name__}:{reward}",
        threshold=threshold,
        fail_count=rest.pop("fail_count", n),
    )
    given = {"inputs": INPUTS, "outputs": OUTPUTS, **rest}
    options = {"trials": trials, **given.pop("options", {})}
    return StageSpec(name="draft", options=options, **given)


def shop(lm, **rest):
    return Workshop(code=CODE, lm=lm, **rest)


def reply(words, **rest):
    return said(**rest, reply=f"{words} words", words=words)


def advice(**hints):
    return said(discussion="It was short.", advice=json.dumps(hints))


TICKET = {"ticket": "Help!", "tags": "a"}
BAD = "no field at all"


async def ask(stage, fields=None, **rest):
    return await stage(fields or TICKET, Desk().run(**rest))


def by_dspy(kind, answers, module, **inputs):
    """Ask DSPy's own, which is sync only, on this thread, with the same script."""
    script = DirectScript(*answers)
    made = kind(module=module, N=3, reward_fn=wordy_for_dspy, threshold=1.0)
    with script.settings(trace=[]):
        return script, made(**inputs)


SCRIPTS = {
    "the second is good": [reply(1), reply(10)],
    "the first is good": [reply(12)],
    "none is good": [reply(1), reply(7), reply(3)],
    "the first of equals": [reply(5), reply(5), reply(5)],
    "one fails": [BAD, reply(4), reply(2)],
    "two fail": [reply(4), BAD, BAD],
}


@pytest.mark.parametrize("answers", SCRIPTS.values(), ids=SCRIPTS)
async def test_the_winner_and_the_messages_of_best_of_are_those_of_dspy(answers):
    module = dspy.Predict(dspy_signature(INPUTS, OUTPUTS))
    script, theirs = by_dspy(dspy.BestOfN, answers, module, **TICKET)
    lm = Script(*answers)
    outcome = await ask(build_predict(spec(), shop(lm)))
    assert outcome.outputs == dict(theirs)
    assert lm.asked == script.asked
    assert lm.params == script.params
    assert lm.params[0] == {"temperature": 1.0}


REFINED = {
    "the second is good": [reply(1), advice(self="More words."), reply(10)],
    "the first is good": [reply(12)],
    "none is good": [
        reply(1),
        advice(self="More."),
        reply(7),
        advice(self="Still more."),
        reply(3),
    ],
    "no advice for the predictor": [reply(1), advice(other="x"), reply(10)],
    "a try fails": [BAD, reply(4), advice(self="«More»\nwords."), reply(2)],
    "the advice fails": [reply(4), BAD, reply(6), advice(self="More."), reply(5)],
}


@pytest.mark.parametrize("answers", REFINED.values(), ids=REFINED)
async def test_the_winner_and_the_messages_of_refine_are_those_of_dspy(answers):
    module = dspy.Predict(dspy_signature(INPUTS, OUTPUTS))
    script, theirs = by_dspy(dspy.Refine, answers, module, **TICKET)
    lm = Script(*answers)
    outcome = await ask(build_predict(spec("refine"), shop(lm)))
    assert outcome.outputs == dict(theirs)
    assert with_our_reward(lm.asked) == with_our_reward(script.asked)
    assert lm.params == script.params


def with_our_reward(asked):
    """Return messages without the code of the reward, which is another for us."""
    cut = partial(
        re.sub,
        r"\[\[ ## reward_code ## \]\]\n.*?(?=\n\n\[\[ ## target)",
        "[[reward]]",
        flags=re.DOTALL,
    )
    return [[{**m, "content": cut(m["content"])} for m in each] for each in asked]


async def test_the_code_of_the_reward_is_shown_to_the_lm():
    lm = Script(reply(1), advice(self="More."), reply(10))
    await ask(build_predict(spec("refine"), shop(lm)))
    assert "how many words the LM says there are" in lm.asked[1][-1]["content"]


async def test_refine_of_reason_hints_the_predictor_within():
    answers = [
        reply(1, reasoning="r"),
        advice(predict="More words."),
        reply(10, reasoning="r"),
    ]
    module = dspy.ChainOfThought(dspy_signature(INPUTS, OUTPUTS))
    script, theirs = by_dspy(dspy.Refine, answers, module, **TICKET)
    lm = Script(*answers)
    outcome = await ask(build_reason(spec("refine"), shop(lm)))
    assert outcome.outputs == dict(theirs)
    assert with_our_reward(lm.asked) == with_our_reward(script.asked)
    assert "More words." in lm.asked[2][-1]["content"]


async def test_refine_of_a_stage_with_a_history_asks_as_dspy_does():
    inputs = (*INPUTS, Field(name="history", type=HISTORY))
    before = {"ticket": "Hello?", "reply": "Yes.", "words": 1}
    answers = REFINED["the second is good"]
    module = dspy.Predict(dspy_signature(inputs, OUTPUTS))
    history = dspy.History(messages=[before])
    script, _ = by_dspy(dspy.Refine, answers, module, **TICKET, history=history)
    lm = Script(*answers)
    turns = (Turn(pipeline="p", request_id="a", at_ms=1, fields=before),)
    stage = build_predict(spec("refine", inputs=inputs), shop(lm))
    await ask(stage, history=turns)
    assert with_our_reward(lm.asked) == with_our_reward(script.asked)


async def test_refine_of_react_hints_both_of_its_predictors():
    def turn():
        return said(next_thought="t", next_tool_name="finish", next_tool_args="{}")

    answers = [
        turn(),
        reply(1, reasoning="r"),
        advice(react="Look twice.", **{"extract.predict": "Be long."}),
        turn(),
        reply(10, reasoning="r"),
    ]
    module = dspy.ReAct(dspy_signature(INPUTS, OUTPUTS), [], max_iters=3)
    script, _ = by_dspy(dspy.Refine, answers, module, **TICKET)
    lm = Script(*answers)
    options = {"tool_use": ToolUse(tools=(), max_calls=3, timeout_s=None)}
    stage = build_react(spec("refine", options=options), shop(lm))
    outcome = await ask(stage)
    assert outcome.outputs["words"] == 10
    assert with_our_reward(lm.asked) == with_our_reward(script.asked)
    assert "Look twice." in lm.asked[3][-1]["content"]
    assert "Be long." in lm.asked[4][-1]["content"]


# --- failures ------------------------------------------------------------------------

BOTH = pytest.mark.parametrize("manner", ["best_of", "refine"])


@BOTH
async def test_if_no_try_can_be_used_the_last_error_is_the_stages(manner):
    stage = build_predict(spec(manner), shop(Script(BAD, BAD, BAD)))
    with pytest.raises(StageOutputError) as caught:
        await ask(stage)
    assert caught.value.stage == "draft"


@BOTH
async def test_more_failures_than_allowed_end_the_stage(manner):
    lm = Script(BAD, BAD, reply(10))
    with pytest.raises(StageOutputError):
        await ask(build_predict(spec(manner, fail_count=1), shop(lm)))
    assert len(lm.answers) == 1


@BOTH
async def test_a_try_beyond_the_bounds_of_a_field_is_a_failed_one(manner):
    outputs = (OUTPUTS[0], Field(name="words", type=Limited(INT, 0, 20)))
    lm = Script(reply(90), reply(10))
    outcome = await ask(build_predict(spec(manner, outputs=outputs), shop(lm)))
    assert outcome.outputs["words"] == 10


@BOTH
async def test_an_lm_that_does_not_answer_is_the_runs_business(manner):
    busy = ModelBusyError("draft", "small", "429", None)
    lm = Script(reply(1), busy)
    with pytest.raises(ModelBusyError):
        await ask(build_predict(spec(manner), shop(lm)))


@BOTH
@pytest.mark.parametrize("reward", ["no_number", "broken"])
async def test_a_reward_that_is_none_is_a_bug(manner, reward):
    stage = build_predict(spec(manner, reward=reward), shop(Script(reply(1))))
    with pytest.raises((StageBugError, ZeroDivisionError)):
        await ask(stage)


@BOTH
async def test_rewards_may_be_async_and_cannot_change_what_they_are_given(manner):
    fields = dict(TICKET)
    stage = build_predict(spec(manner, reward="wordy_later"), shop(Script(reply(10))))
    outcome = await ask(stage, fields)
    assert outcome.outputs["words"] == 10
    assert fields == TICKET


# --- the journal ---------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("done", range(6))
async def test_a_resumed_stage_repeats_no_finished_try(manner, done):
    answers = (
        SCRIPTS["none is good"] if manner == "best_of" else REFINED["none is good"]
    )
    whole = Desk()
    expected = await build_predict(spec(manner), shop(Script(*answers)))(
        TICKET, whole.run()
    )
    whole.calls.purse.save()
    kept = whole.entries[:done]
    lm = Script(*answers[len(kept) :])
    outcome = await build_predict(spec(manner), shop(lm))(TICKET, Desk(kept).run())
    assert outcome.outputs == expected.outputs
    assert not lm.answers


@BOTH
async def test_a_repeated_attempt_finds_the_tries_that_were_made(manner):
    busy = ModelBusyError("draft", "small", "429", None)
    answers = (
        SCRIPTS["none is good"] if manner == "best_of" else REFINED["none is good"]
    )
    lm = Script(*answers[:2], busy, *answers[2:])
    stage, desk = build_predict(spec(manner), shop(lm)), Desk()
    with pytest.raises(ModelBusyError):
        await stage(TICKET, desk.run())
    desk.calls.fail(burn=False)
    outcome = await stage(TICKET, desk.run())
    assert outcome.outputs["words"] == 7
    assert not lm.answers


@BOTH
async def test_many_requests_at_once_keep_their_tries_apart(manner):
    class Counting(Script):
        async def complete(self, stage, call):
            await asyncio.sleep(0)
            asked = call.messages[-1]["content"]
            words = int(re.search(r"ticket ## \]\]\n(\d+)", asked)[1])
            return Answer(text=reply(words), usage=Usage(calls=1))

    stage = build_predict(spec(manner, threshold=0.0), shop(Counting()))
    fields = [{"ticket": str(n), "tags": ""} for n in range(20)]
    ended = await asyncio.gather(*(stage(f, Desk().run()) for f in fields))
    assert [each.outputs["words"] for each in ended] == list(range(20))
    assert dspy.settings.lm is None


# --- versions, files and problems ----------------------------------------------------


def test_a_version_changes_with_everything_that_changes_answers():
    lm = Script()
    plain = StageSpec(name="draft", inputs=INPUTS, outputs=OUTPUTS)
    versions = [
        build_predict(plain, shop(lm)).version,
        build_predict(spec(), shop(lm)).version,
        build_predict(spec(n=4), shop(lm)).version,
        build_predict(spec(threshold=0.9), shop(lm)).version,
        build_predict(spec(fail_count=1), shop(lm)).version,
        build_predict(spec(reward="wordy_later"), shop(lm)).version,
        build_predict(spec(instructions="Be kind."), shop(lm)).version,
        build_predict(spec("refine"), shop(lm)).version,
        build_predict(spec("refine", n=4), shop(lm)).version,
        build_predict(spec("refine", reward="wordy_later"), shop(lm)).version,
    ]
    assert len(set(versions)) == len(versions)
    assert versions[1].startswith("best_of@")
    assert versions[-1].startswith("refine@")


def test_the_kinds_of_stages_are_what_the_file_says():
    assert isinstance(build_predict(spec(), shop(Script())), BestOf)
    assert isinstance(build_predict(spec("refine"), shop(Script())), Refined)


@pytest.mark.parametrize(
    ("reward", "problem"),
    [
        ("takes_one", "cannot be called with inputs and outputs"),
        ("missing", "has no function missing"),
    ],
)
def test_a_reward_that_cannot_be_called_is_refused(reward, problem):
    with pytest.raises(ConfigError, match=problem):
        build_predict(spec(reward=reward), shop(Script()))


def test_the_name_of_the_hint_is_refined_only():
    inputs = (Field(name="hint_", type=STR),)
    assert build_predict(spec(inputs=inputs), shop(Script()))
    with pytest.raises(ConfigError, match="hint_ is a name that refine uses itself"):
        build_predict(spec("refine", inputs=inputs), shop(Script()))


def read(**entry):
    problems = Problems("desk.yaml")
    trials = read_trials(Section(entry, "stages.draft", problems))["trials"]
    return trials, [str(p).removeprefix("desk.yaml: ") for p in problems.found]


GIVEN = {"n": 3, "reward": "a:b", "threshold": 0.5}


def test_a_file_says_how_often_and_what_is_good():
    assert read() == (None, [])
    trials, problems = read(best_of=GIVEN)
    assert trials == Trials(
        manner="best_of", n=3, reward="a:b", threshold=0.5, fail_count=3
    )
    assert not problems
    assert read(refine={**GIVEN, "fail_count": 0})[0].fail_count == 0


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"best_of": GIVEN, "refine": GIVEN}, "stages.draft.refine: "),
        ({"best_of": {**GIVEN, "n": 1}}, "stages.draft.best_of.n: "),
        ({"best_of": {"n": 3, "threshold": 1}}, "stages.draft.best_of.reward: "),
        ({"best_of": {"n": 3, "reward": "a:b"}}, "stages.draft.best_of.threshold: "),
        (
            {"best_of": {**GIVEN, "threshold": True}},
            "stages.draft.best_of.threshold: ",
        ),
        (
            {"refine": {**GIVEN, "threshold": float("nan")}},
            "stages.draft.refine.threshold: ",
        ),
        ({"refine": {**GIVEN, "tries": 3}}, "stages.draft.refine.tries: "),
        ({"refine": {"reward": "a:b", "threshold": 1}}, "stages.draft.refine.n: "),
        ({"refine": 3}, "stages.draft.refine: "),
    ],
)
def test_what_does_not_fit_is_named(entry, place):
    _, (problem,) = read(**entry)
    assert problem.startswith(place)
