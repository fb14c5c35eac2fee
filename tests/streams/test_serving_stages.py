"""Stages that ask an LM: compiled where DSPy agrees, through the program elsewhere."""

import asyncio
import re

import dspy
import pytest

from schemas.records import Usage
from streams.clock import ManualClock
from streams.errors import (
    ConfigError,
    ModelBusyError,
    StageInputError,
    StageOutputError,
)
from streams.language.stage_spec import StageSpec
from streams.lms.demo import DemoLM
from streams.lms.dspy_bridge import BridgeEngine, StoppedError
from streams.lms.dspy_engine import CallsEngine, NoSyncEngine, NotServedError, bound_lm
from streams.lms.dspy_engine import messages_of as messages_of_request
from streams.programs import Program
from streams.session import Turn
from streams.signatures.types import BOOL, HISTORY, INT, STR, Choice, Field, Maybe
from streams.stage import Answer, LMCall, RunContext
from streams.stages import compiled
from streams.stages.adapter import READERS
from streams.stages.asking import ModuleStage
from streams.stages.compiled import CompiledStage
from streams.stages.predict import build_predict
from streams.stages.probes import probes_of
from streams.stages.prompt import Prompt
from streams.stages.reading import Reader
from streams.stages.reason import build_reason, reason_outputs
from tests.streams.workshops import asking

TICKET = "I was charged twice for my invoice"
INPUTS = (
    Field(name="ticket", type=STR),
    Field(name="urgent", type=BOOL, required=False, default=False),
    Field(name="history", type=HISTORY),
)
OUTPUTS = (
    Field(name="category", type=Choice(("bug", "billing", "other"))),
    Field(name="words", type=INT),
    Field(name="reply", type=Maybe(STR)),
)
SPEC = StageSpec(name="draft", inputs=INPUTS, outputs=OUTPUTS, instructions="Help.")
HISTORY_OF_ONE = (
    Turn(
        pipeline="p",
        request_id="before",
        at_ms=1,
        fields={"ticket": "hello", "category": "other", "words": 1, "reply": "hi"},
    ),
)
GOOD = "[[ ## category ## ]]\nbug\n[[ ## words ## ]]\n2\n[[ ## reply ## ]]\nhi\n"


class Direct:
    """Calls without a journal, which remember what was asked."""

    def __init__(self):
        self.asked = []

    async def ask(self, lm, call):
        self.asked.append(call)
        return await lm.complete("draft", call)


class Says(DemoLM):
    """An LM that says what it is told to, or fails so."""

    def __init__(self, said):
        super().__init__("told")
        self.said = said

    async def complete(self, stage, call):
        if isinstance(self.said, Exception):
            raise self.said
        return Answer(text=self.said, usage=Usage(calls=1, output_tokens=5))


def run(calls=None, **rest):
    return RunContext(
        request_id="r", clock=ManualClock(), calls=calls or Direct(), **rest
    )


def compiled_stage(spec=SPEC, lm=None, build=build_predict):
    stage = build(spec, asking(lm or DemoLM("demo")))
    assert isinstance(stage, CompiledStage)
    return stage


def program_stage(spec=SPEC, lm=None, build=build_predict):
    """Return what is built when a probe finds the smallest difference."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "agrees", lambda *_: False)
        stage = build(spec, asking(lm or DemoLM("demo")))
    assert isinstance(stage, ModuleStage)
    return stage


BOTH = pytest.mark.parametrize("made", [compiled_stage, program_stage])


@pytest.mark.parametrize("build", [build_predict, build_reason])
@pytest.mark.parametrize("history", [(), HISTORY_OF_ONE])
async def test_both_ways_ask_the_same_and_answer_the_same(build, history):
    fields = {"ticket": TICKET, "urgent": True, "unknown": "left out"}
    asked, ended = [], []
    for made in (compiled_stage, program_stage):
        calls = Direct()
        stage = made(build=build)
        ended.append(await stage(fields, run(calls, history=history)))
        asked.append((stage.name, stage.version, calls.asked))
    assert asked[0] == asked[1]
    assert ended[0] == ended[1]
    assert ended[0].outputs["category"] == "billing"


@BOTH
async def test_a_stage_asks_once(made):
    calls = Direct()
    outcome = await made(lm=Says(GOOD))({"ticket": TICKET}, run(calls))
    assert len(calls.asked) == 1
    assert outcome.outputs == {"category": "bug", "words": 2, "reply": "hi"}
    assert outcome.usage == Usage(calls=1, output_tokens=5)


@BOTH
async def test_a_missing_input_is_an_input_error_and_costs_nothing(made):
    calls = Direct()
    with pytest.raises(StageInputError, match="no value for ticket"):
        await made()({"urgent": True}, run(calls))
    assert not calls.asked


@BOTH
@pytest.mark.parametrize(
    "said",
    [
        "",
        "a secret, and no field",
        GOOD.replace("bug", "secret"),
        GOOD.replace("2", "secret"),
        GOOD[:30],
    ],
)
async def test_an_answer_that_does_not_fit_is_an_output_error_without_its_text(
    made, said
):
    with pytest.raises(StageOutputError) as caught:
        await made(lm=Says(said))({"ticket": TICKET}, run())
    assert caught.value.stage == "draft"
    assert "secret" not in str(caught.value)


@BOTH
async def test_errors_of_the_lm_come_through_as_they_are(made):
    busy = ModelBusyError("draft", "told", "status 429", 7.0)
    with pytest.raises(ModelBusyError) as caught:
        await made(lm=Says(busy))({"ticket": TICKET}, run())
    assert caught.value is busy


async def test_what_is_not_our_error_is_left_to_the_run():
    bug = RuntimeError("a bug of ours")
    with pytest.raises(RuntimeError):
        await compiled_stage(lm=Says(bug))({"ticket": TICKET}, run())
    with pytest.raises(dspy.DSPyError):
        await program_stage(lm=Says(bug))({"ticket": TICKET}, run())


@BOTH
async def test_a_cancelled_stage_is_cancelled(made):
    class Hangs(DemoLM):
        async def complete(self, stage, call):
            await asyncio.Event().wait()

    task = asyncio.create_task(made(lm=Hangs("h"))({"ticket": TICKET}, run()))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_history_that_cannot_be_shown_is_an_input_error():
    odd = Turn(pipeline="p", request_id="b", at_ms=1, fields={"x": {"tool_calls": 7}})
    with pytest.raises(StageInputError, match="history"):
        await compiled_stage()({"ticket": TICKET}, run(history=(odd,)))


async def test_many_stages_at_once_keep_their_lms_apart():
    stages = [program_stage(lm=Says(GOOD.replace("2", str(n)))) for n in range(30)]
    ended = await asyncio.gather(*(s({"ticket": TICKET}, run()) for s in stages))
    assert [outcome.outputs["words"] for outcome in ended] == list(range(30))
    assert dspy.settings.lm is None


def test_reason_adds_reasoning_and_nothing_else():
    names = [field.name for field in reason_outputs(SPEC)]
    assert names == ["reasoning", "category", "words", "reply"]


@pytest.mark.parametrize(
    "spec",
    [
        StageSpec(
            name="s", inputs=INPUTS, outputs=(Field(name="reasoning", type=STR),)
        ),
        StageSpec(
            name="s", inputs=(Field(name="reasoning", type=STR),), outputs=OUTPUTS
        ),
    ],
)
def test_reasoning_cannot_be_declared_twice(spec):
    with pytest.raises(ConfigError, match="reasoning"):
        build_reason(spec, asking(DemoLM("demo")))
    assert build_predict(spec, asking(DemoLM("demo"))).name == "s"


def test_names_that_dspy_needs_itself_are_refused():
    spec = StageSpec(name="s", inputs=(Field(name="lm", type=STR),), outputs=OUTPUTS)
    with pytest.raises(ConfigError):
        build_predict(spec, asking(DemoLM("demo")))


def version(lm=None, build=build_predict, **changes):
    given = {"name": "draft", "inputs": INPUTS, "outputs": OUTPUTS, **changes}
    return build(StageSpec(**given), asking(lm or DemoLM("demo"))).version


class OtherLM(DemoLM):
    @property
    def fingerprint(self):
        return "other@1"


def test_a_version_changes_with_everything_that_changes_answers():
    described = (Field(name="ticket", type=STR, description="Said."), *INPUTS[1:])
    versions = [
        version(),
        version(build=build_reason),
        version(instructions="Be kind."),
        version(inputs=INPUTS[:2]),
        version(inputs=described),
        version(outputs=OUTPUTS[:2]),
        version(outputs=OUTPUTS[::-1]),
        version(lm=OtherLM("demo")),
    ]
    assert len(set(versions)) == len(versions)
    assert all(re.fullmatch(r"(predict|reason)@[0-9a-f]{12}", v) for v in versions)


def test_a_version_does_not_change_with_names_that_nobody_is_told():
    assert version() == version() == version(name="other", lm=DemoLM("renamed"))


# --- the probe -----------------------------------------------------------------------


class Louder(Prompt):
    def messages(self, fields, history=()):
        *head, user = super().messages(fields, history)
        return (*head, {**user, "content": user["content"] + "!"})


class Laxer(Reader):
    def read(self, text):
        return {**super().read(text), "words": 0}


class Stricter(Reader):
    def read(self, text):
        return super().read("")


@pytest.mark.parametrize(
    ("part", "kind"),
    [("Prompt", Louder), ("Reader", Laxer), ("Reader", Stricter)],
)
def test_the_smallest_difference_from_dspy_means_the_programs_way(
    monkeypatch, part, kind
):
    if part == "Prompt":
        monkeypatch.setattr(compiled, part, kind)
    else:
        monkeypatch.setitem(READERS, "chat", kind)
    assert isinstance(build_predict(SPEC, asking(DemoLM("demo"))), ModuleStage)


def test_probes_try_every_field_in_several_ways():
    probes = probes_of(SPEC, OUTPUTS)
    assert {probe.outputs["category"] for probe in probes} == {
        "bug",
        "billing",
        "other",
    }
    assert {len(probe.history) for probe in probes} == {0, 2, 4}
    assert all("history" not in probe.inputs for probe in probes)


# --- DSPy's LM on top of ours --------------------------------------------------------


async def test_a_program_may_ask_through_the_engine_more_than_once():
    calls = Direct()
    engine = CallsEngine(DemoLM("demo"), calls)
    program = Program("predict", SPEC, DemoLM("demo"))
    inputs = program.inputs.given({"ticket": TICKET}, ())
    with dspy.context(lm=bound_lm(engine, "demo"), adapter=program.adapter):
        await program.predictor.acall(**inputs, config={"temperature": 0.5})
        await program.predictor.acall(**inputs)
    assert [dict(call.params) for call in calls.asked] == [{"temperature": 0.5}, {}]
    assert engine.usage.calls == 2


async def test_a_stream_comes_in_one_piece():
    engine = CallsEngine(Says("hello"), Direct())
    events = [event async for event in engine.stream(request("hi"))]
    assert "hello" in str(events)


def test_nothing_asks_synchronously():
    engine = NoSyncEngine()
    with pytest.raises(NotServedError):
        engine.complete(request("hi"))
    with pytest.raises(NotServedError):
        engine.stream(request("hi"))


async def test_a_program_on_a_thread_asks_on_the_loop_until_nobody_waits():
    calls = Direct()
    loop = asyncio.get_running_loop()
    bridge = BridgeEngine(CallsEngine(Says("hello"), calls), loop)

    def streamed():
        return list(bridge.stream(request("hi")))

    assert "hello" in str(await asyncio.to_thread(streamed))
    bridge.close()
    with pytest.raises(StoppedError):
        await asyncio.to_thread(bridge.complete, request("hi"))
    assert len(calls.asked) == 1


def test_what_is_not_text_is_not_served():
    sound = dspy.lm15.AudioPart(url="http://a/b.wav")
    with pytest.raises(NotServedError):
        messages_of_request(request([dspy.lm15.TextPart("hear"), sound]))


def request(content):
    return dspy.lm15.Request(
        model="penstock/demo", messages=(dspy.lm15.Message.user(content),)
    )


async def test_the_demo_lm_is_asked_in_the_words_of_dspy():
    calls = Direct()
    await compiled_stage()({"ticket": TICKET, "urgent": False}, run(calls))
    (call,) = calls.asked
    assert isinstance(call, LMCall)
    assert [message["role"] for message in call.messages] == ["system", "user"]
    assert call.messages[0]["content"].startswith("Your input fields are:")
