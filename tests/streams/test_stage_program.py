"""Saved programs and the user's own: DSPy's answers, whole states, a free loop."""

import asyncio
import json
import threading
from contextlib import suppress

import dspy
import orjson
import pytest

from streams.errors import (
    ConfigError,
    ModelBusyError,
    StageInputError,
    StageOutputError,
)
from streams.language.problems import Problems
from streams.language.program_file import ProgramUse, read_program
from streams.language.program_state import MAX_BYTES, read_state
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.language.tools import ToolUse
from streams.language.trials import Trials
from streams.session import Turn
from streams.signatures.to_dspy import dspy_signature
from streams.signatures.types import HISTORY, STR, Choice, Field
from streams.stages.compiled import CompiledStage
from streams.stages.program import build_program, program_outputs
from streams.user_code import UserCode
from tests.streams.scripted import Desk, DirectScript, Script, said

INPUTS = (Field(name="ticket", type=STR), Field(name="tier", type=STR, required=False))
OUTPUTS = (Field(name="category", type=Choice(("bug", "bill"))),)
TICKET = {"ticket": "Broken since Monday.", "tier": "pro"}
CODE = UserCode([__name__])
DEMOS = [
    dspy.Example(ticket="it crashes", tier="free", category="bug", augmented=True),
    dspy.Example(ticket="I paid twice", category="bill"),
]


def use(**rest):
    given = {"state": None, "module": "predict", "target": None, "threads": None}
    return ProgramUse(**(given | rest))


def spec(inputs=INPUTS, outputs=OUTPUTS, options=(), **rest):
    return StageSpec(
        name="classify",
        inputs=inputs,
        outputs=outputs,
        options={"program": use(**rest), **dict(options)},
    )


def shop(lm=None, folder=None):
    return Workshop(code=CODE, lm=lm or Script(), folder=folder)


def optimised(module):
    """Return *module* as an optimizer leaves it."""
    for predictor in module.predictors():
        told = predictor.signature.with_instructions("Sort it.\nBe strict.")
        predictor.signature = told.with_updated_fields("ticket", desc="by mail")
        predictor.demos = list(DEMOS)
    return module


def saved(folder, module, name="state.json"):
    """Save *module* below *folder* as DSPy does; return the path that a file says."""
    module.save(folder / name)
    return name


def signature(inputs=INPUTS, outputs=OUTPUTS):
    return dspy_signature(inputs, outputs)


MODULES = {"predict": dspy.Predict, "reason": dspy.ChainOfThought}
ANSWERS = {
    "predict": said(category="bug"),
    "reason": said(reasoning="It broke.", category="bug"),
}


async def by_dspy(module, *answers, **inputs):
    script = DirectScript(*answers)
    with script.settings():
        return script, dict(await module.acall(**inputs))


@pytest.mark.parametrize("kind", MODULES)
async def test_a_saved_program_asks_and_answers_as_in_dspy(tmp_path, kind):
    state = saved(tmp_path, optimised(MODULES[kind](signature())))
    theirs = MODULES[kind](signature())
    theirs.load(tmp_path / state)
    script, expected = await by_dspy(theirs, ANSWERS[kind], **TICKET)
    lm = Script(ANSWERS[kind])
    made = spec(state=state, module=kind)
    stage = build_program(made, shop(lm, tmp_path))
    outcome = await stage(TICKET, Desk().run())
    assert lm.asked == script.asked
    assert "it crashes" in str(lm.asked)
    assert "Be strict." in str(lm.asked)
    assert "by mail" in str(lm.asked)
    assert outcome.outputs == expected
    assert [f.name for f in program_outputs(made)] == list(expected)
    assert isinstance(stage, CompiledStage)


async def test_a_saved_react_asks_and_answers_as_in_dspy(tmp_path):
    turn = said(next_thought="t", next_tool_name="finish", next_tool_args="{}")
    answers = [turn, said(reasoning="r", category="bug")]
    state = saved(tmp_path, optimised(dspy.ReAct(signature(), [], max_iters=3)))
    theirs = dspy.ReAct(signature(), [], max_iters=3)
    theirs.load(tmp_path / state)
    script, _ = await by_dspy(theirs, *answers, **TICKET)
    lm = Script(*answers)
    options = {"tool_use": ToolUse(tools=(), max_calls=3, timeout_s=None)}
    made = spec(state=state, module="react", options=options)
    outcome = await build_program(made, shop(lm, tmp_path))(TICKET, Desk().run())
    assert lm.asked == script.asked
    assert list(outcome.outputs) == [f.name for f in program_outputs(made)]


class Nested(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(signature())


def test_a_lone_predictor_may_have_had_any_name(tmp_path):
    state = saved(tmp_path, optimised(Nested()))
    assert build_program(spec(state=state), shop(folder=tmp_path))


async def test_a_saved_program_may_be_tried_several_times(tmp_path):
    state = saved(tmp_path, optimised(dspy.Predict(signature())))
    trials = Trials(
        manner="best_of",
        n=2,
        reward=f"{__name__}:is_bug",
        threshold=1.0,
        fail_count=2,
    )
    lm = Script(said(category="bill"), said(category="bug"))
    made = spec(state=state, options={"trials": trials})
    outcome = await build_program(made, shop(lm, tmp_path))(TICKET, Desk().run())
    assert outcome.outputs == {"category": "bug"}


def is_bug(inputs, outputs):
    return outputs["category"] == "bug" and inputs["tier"] == "pro"


# --- states that do not fit ----------------------------------------------------------


def field(name, **rest):
    return Field(name=name, type=STR, **rest)


@pytest.mark.parametrize(
    ("inputs", "outputs", "named"),
    [
        ((field("mail"), field("tier")), OUTPUTS, ["mail", "ticket"]),
        (INPUTS[::-1], OUTPUTS, ["tier", "ticket"]),
        (INPUTS, (field("label"),), ["label", "category"]),
        (INPUTS[:1], OUTPUTS, ["ticket, category", "ticket, tier, category"]),
        (INPUTS, (*OUTPUTS, field("why")), ["why"]),
    ],
)
def test_a_state_of_other_fields_is_refused_and_they_are_named(
    tmp_path, inputs, outputs, named
):
    state = saved(tmp_path, dspy.Predict(signature(inputs, outputs)))
    with pytest.raises(ConfigError) as caught:
        build_program(spec(state=state), shop(folder=tmp_path))
    for name in named:
        assert name in str(caught.value)


def test_a_field_that_an_optimizer_gave_another_prefix_is_the_same_field(tmp_path):
    module = dspy.Predict(signature())
    module.signature = module.signature.with_updated_fields("category", prefix="So:")
    state = saved(tmp_path, module)
    assert build_program(spec(state=state), shop(folder=tmp_path))


def test_a_state_of_another_module_is_refused(tmp_path):
    state = saved(tmp_path, dspy.ChainOfThought(signature()))
    with pytest.raises(ConfigError, match="reasoning"):
        build_program(spec(state=state), shop(folder=tmp_path))
    state = saved(tmp_path, dspy.ReAct(signature(), []))
    with pytest.raises(ConfigError, match="nothing of predictor self") as caught:
        build_program(spec(state=state), shop(folder=tmp_path))
    assert "no predictor extract.predict" in str(caught.value)


def test_another_version_of_dspy_is_told_as_dspy_tells_it(tmp_path, caplog):
    def older(state):
        state["metadata"]["dependency_versions"]["dspy"] = "3.1.0"

    build_program(spec(state=edited(tmp_path, older)), shop(folder=tmp_path))
    assert "state.json was saved by DSPy 3.1.0" in caplog.text


def test_the_lm_in_a_state_is_not_asked(tmp_path):
    module = dspy.Predict(signature())
    module.set_lm(dspy.LM("openai/other", api_key="k"))
    state = saved(tmp_path, module)
    stage = build_program(spec(state=state), shop(folder=tmp_path))
    assert isinstance(stage, CompiledStage)


def edited(folder, change):
    """Save a state and *change* its JSON."""
    path = folder / saved(folder, dspy.Predict(signature()))
    said_there = json.loads(path.read_text())
    change(said_there)
    path.write_text(json.dumps(said_there))
    return path.name


def without_fields(state):
    del state["signature"]["fields"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.update(forward="x"), "holds forward, which no state has"),
        (lambda s: s.update(config={"n": 9}), "holds config"),
        (lambda s: s.update(demos="all"), "demos must be a list of mappings"),
        (lambda s: s.update(demos=["a"]), "demos must be a list of mappings"),
        (lambda s: s.update(fields={"a": {}}), "criteria of decisions"),
        (without_fields, "no instructions or no fields"),
        (lambda s: s["signature"].update(instructions=7), "instructions must be text"),
        (lambda s: s["signature"]["fields"][0].update(prefix=7), "no fields"),
        (lambda s: s.clear(), "holds no predictor"),
        (lambda s: (s.clear(), s.update(a=7)), "a is no state of a predictor"),
    ],
)
def test_what_dspy_would_swallow_is_refused(tmp_path, change, problem):
    with pytest.raises(ConfigError, match=problem):
        build_program(spec(state=edited(tmp_path, change)), shop(folder=tmp_path))


def test_a_state_without_metadata_is_read_and_its_version_kept(tmp_path):
    name = edited(tmp_path, lambda s: s.pop("metadata"))
    assert read_state(tmp_path, name).dspy is None
    assert read_state(tmp_path, saved(tmp_path, Nested())).dspy == dspy.__version__


# --- where states are ----------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["../state.json", "a/../../state.json", "/etc/hosts.json", "state.pkl", "state"],
)
def test_a_state_lies_below_the_pipelines(tmp_path, path):
    with pytest.raises(ConfigError, match=r"no path of a \.json file"):
        read_state(tmp_path, path)


def test_a_link_does_not_lead_out(tmp_path):
    inside = tmp_path / "pipelines"
    inside.mkdir()
    saved(tmp_path, Nested(), "secret.json")
    (inside / "state.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(ConfigError, match="leads out"):
        read_state(inside, "state.json")
    # A config map's files are links to a folder beside them.
    (inside / "..data").mkdir()
    saved(inside / "..data", Nested(), "classify.json")
    (inside / "classify.json").symlink_to("..data/classify.json")
    assert read_state(inside, "classify.json").predictors


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x80\x04K\x01.", "is no JSON"),
        (b"[]", "no state that program.save wrote"),
        (b"{" * 500, "is no JSON"),
        (b" " * (MAX_BYTES + 1), "is larger than"),
    ],
)
def test_what_is_no_state_is_refused(tmp_path, content, problem):
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        read_state(tmp_path, "state.json")


def test_a_missing_state_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_state(tmp_path, "state.json")
    with pytest.raises(ConfigError, match="no folder of pipelines"):
        read_state(None, "state.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ConfigError, match="is no file"):
        read_state(tmp_path, "folder.json")


# --- the user's own ------------------------------------------------------------------


class Asks(dspy.Module):
    """Two predictors, one after the other."""

    def __init__(self):
        super().__init__()
        self.gist = dspy.Predict("ticket -> gist", max_tokens=50)
        self.classify = dspy.Predict(signature())

    async def aforward(self, ticket, tier="free"):
        gist = (await self.gist.acall(ticket=ticket)).gist
        return await self.classify.acall(ticket=gist, tier=tier)


class Blocks(dspy.Module):
    """The same without async."""

    def __init__(self):
        super().__init__()
        self.gist = dspy.Predict("ticket -> gist")
        self.classify = dspy.Predict(signature())

    def forward(self, ticket, tier="free"):
        THREADS.add(threading.current_thread().name)
        gist = self.gist(ticket=ticket).gist
        return self.classify(ticket=gist, tier=tier)


class Neither(dspy.Module):
    pass


class OwnLM(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(signature())
        self.classify.lm = dspy.LM("openai/other", api_key="k")

    async def aforward(self, ticket, tier):
        return await self.classify.acall(ticket=ticket, tier=tier)


class Needs(dspy.Module):
    def __init__(self, needed):
        super().__init__()


class Other(dspy.Module):
    async def aforward(self, mail):
        return dspy.Prediction(category="bug")


class Plain(dspy.Module):
    async def aforward(self, ticket, tier):
        return dspy.Prediction(wrong="bug") if tier == "free" else "bug"


class Remembers(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(
            signature((*INPUTS, Field(name="history", type=HISTORY)))
        )

    async def aforward(self, **inputs):
        return await self.classify.acall(**inputs)


class Swallows(dspy.Module):
    """Goes on whatever happens to it."""

    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(signature())

    def forward(self, ticket, tier):
        for _ in range(3):
            with suppress(Exception):
                self.classify(ticket=ticket, tier=tier)
        ENDED.set()


class Globals(dspy.Module):
    """Asks on a thread of its own making, which no settings reach."""

    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(signature())

    def forward(self, ticket, tier):
        errors = []

        def ask():
            try:
                self.classify(ticket=ticket, tier=tier)
            except ValueError as error:
                errors.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return dspy.Prediction(category="bug" if "No LM" in errors[0] else "bill")


THREADS: set[str] = set()
ENDED = threading.Event()
TWO = [said(gist="it broke"), said(category="bug")]


def target(kind, **rest):
    return spec(target=f"{__name__}:{kind.__name__}", **rest)


async def test_an_async_module_asks_and_answers_as_in_dspy():
    script, expected = await by_dspy(Asks(), *TWO, **TICKET)
    lm = Script(*TWO)
    outcome = await build_program(target(Asks), shop(lm))(TICKET, Desk().run())
    assert lm.asked == script.asked
    assert lm.params == script.params
    assert lm.params[0] == {"max_tokens": 50}
    assert outcome.outputs == expected
    assert outcome.usage.calls == 2


async def test_a_module_without_async_runs_on_threads_of_its_own():
    THREADS.clear()
    lm = Script(*TWO)
    stage = build_program(target(Blocks, threads=2), shop(lm))
    outcome = await stage(TICKET, Desk().run())
    assert outcome.outputs == {"category": "bug"}
    assert outcome.usage.calls == 2
    assert all(name.startswith("penstock-classify") for name in THREADS)


async def test_nobody_is_warned_of_what_dspy_discourages(caplog):
    stage = build_program(target(Blocks, threads=1), shop(Script(*TWO)))
    await stage(TICKET, Desk().run())
    assert caplog.text == ""


async def test_both_ways_ask_the_same():
    lms = Script(*TWO), Script(*TWO)
    for lm, kind, threads in zip(lms, (Asks, Blocks), (None, 1), strict=True):
        stage = build_program(target(kind, threads=threads), shop(lm))
        await stage(TICKET, Desk().run())
    assert lms[0].asked == lms[1].asked


def test_a_module_without_async_and_without_threads_is_refused_with_the_cure():
    with pytest.raises(ConfigError, match=r"only forward.*aforward.*threads: 4"):
        build_program(target(Blocks), shop())


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        (Asks, {"threads": 2}, "take `threads` out"),
        (Neither, {}, "neither aforward nor forward"),
        (OwnLM, {}, "predictor classify brings an LM of its own"),
        (Needs, {}, r"Needs\(\) fails: TypeError"),
        (Other, {}, "cannot be called with these inputs"),
        (is_bug, {}, r"is no dspy\.Module"),
        (ProgramUse, {}, "is not allowed"),
    ],
)
def test_a_class_that_cannot_be_asked_is_refused(kind, options, problem):
    with pytest.raises(ConfigError, match=problem):
        build_program(target(kind, **options), shop())


async def test_outputs_that_are_missing_are_left_to_the_check_of_the_stage():
    stage = build_program(target(Plain), shop())
    outcome = await stage({"ticket": "x", "tier": "free"}, Desk().run())
    assert outcome.outputs == {}
    with pytest.raises(StageOutputError, match="returned str, not a Prediction"):
        await stage(TICKET, Desk().run())
    with pytest.raises(StageInputError, match="no value for ticket"):
        await stage({"tier": "pro"}, Desk().run())


async def test_a_module_is_given_the_history_of_the_session():
    inputs = (*INPUTS, Field(name="history", type=HISTORY))
    turns = (Turn(pipeline="p", request_id="a", at_ms=1, fields={"ticket": "Hello?"}),)
    lm = Script(said(category="bug"))
    stage = build_program(target(Remembers, inputs=inputs), shop(lm))
    await stage(TICKET, Desk().run(history=turns))
    assert "Hello?" in str(lm.asked)


@pytest.mark.parametrize(("kind", "threads"), [(Asks, None), (Blocks, 1)])
async def test_errors_of_the_lm_come_through_as_they_are(kind, threads):
    busy = ModelBusyError("classify", "small", "429", 3.0)
    stage = build_program(target(kind, threads=threads), shop(Script(TWO[0], busy)))
    with pytest.raises(ModelBusyError) as caught:
        await stage(TICKET, Desk().run())
    assert caught.value is busy
    stage = build_program(target(kind, threads=threads), shop(Script(TWO[0], "what?")))
    with pytest.raises(StageOutputError, match="does not fit the signature"):
        await stage(TICKET, Desk().run())


@pytest.mark.parametrize(("kind", "threads"), [(Asks, None), (Blocks, 1)])
@pytest.mark.parametrize("done", range(3))
async def test_a_resumed_program_asks_nothing_twice(kind, threads, done):
    whole = Desk()
    made = target(kind, threads=threads)
    expected = await build_program(made, shop(Script(*TWO)))(TICKET, whole.run())
    whole.calls.purse.save()
    lm = Script(*TWO[done:])
    desk = Desk(whole.entries[:done])
    outcome = await build_program(made, shop(lm))(TICKET, desk.run())
    assert outcome.outputs == expected.outputs
    assert not lm.answers


async def test_a_cancelled_program_on_a_thread_asks_no_more():
    ENDED.clear()
    began = asyncio.Event()

    async def hang():
        began.set()
        await asyncio.Event().wait()

    lm = Script(hang, TWO[1], TWO[1])
    code = UserCode([__name__])
    stage = build_program(target(Swallows, threads=1), Workshop(code=code, lm=lm))
    task = asyncio.create_task(stage(TICKET, Desk().run()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    code.close()
    # Its thread ended by our error, which no `except Exception` holds up.
    await asyncio.to_thread(_join, "penstock-classify")
    assert not ENDED.is_set()
    assert len(lm.asked) == 1


def _join(prefix):
    for thread in threading.enumerate():
        if thread.name.startswith(prefix) and not thread.daemon:
            thread.join(5)


async def test_no_program_finds_an_lm_outside_of_its_stage():
    stage = build_program(target(Globals, threads=1), shop())
    outcome = await stage(TICKET, Desk().run())
    assert outcome.outputs == {"category": "bug"}
    assert dspy.settings.lm is None


async def test_programs_at_the_same_time_keep_their_calls_apart():
    class Echoes(Script):
        async def complete(self, stage, call):
            await asyncio.sleep(0)
            self.answers.append(
                said(gist=call.messages[-1]["content"].split("\n")[1])
                if "gist" in call.messages[0]["content"]
                else said(category="bug" if "even" in str(call.messages) else "bill")
            )
            return await super().complete(stage, call)

    lm = Echoes()
    stage = build_program(target(Blocks, threads=4), shop(lm))
    tickets = [{"ticket": f"{'even' if n % 2 == 0 else 'odd'} {n}"} for n in range(12)]
    ended = await asyncio.gather(*(stage(t, Desk().run()) for t in tickets))
    assert [e.outputs["category"] for e in ended] == ["bug", "bill"] * 6


async def test_the_users_own_may_be_refined():
    trials = Trials(
        manner="refine",
        n=2,
        reward=f"{__name__}:is_bug",
        threshold=1.0,
        fail_count=2,
    )
    advice = said(discussion="d", advice='{"classify": "It is a bug."}')
    for kind, threads in ((Asks, None), (Blocks, 1)):
        lm = Script(TWO[0], said(category="bill"), advice, *TWO)
        made = target(kind, threads=threads, options={"trials": trials})
        outcome = await build_program(made, shop(lm))(TICKET, Desk().run())
        assert outcome.outputs == {"category": "bug"}
        assert "It is a bug." in lm.asked[4][-1]["content"]
        assert "N/A" in lm.asked[3][-1]["content"]
        assert f"class {kind.__name__}" in lm.asked[2][-1]["content"]


# --- versions and files --------------------------------------------------------------


class OtherLM(Script):
    fingerprint = "other"


def test_a_version_changes_with_everything_that_changes_answers(tmp_path):
    first = saved(tmp_path, dspy.Predict(signature()), "first.json")
    second = saved(tmp_path, optimised(dspy.Predict(signature())), "second.json")
    reason = saved(tmp_path, dspy.ChainOfThought(signature()), "reason.json")
    asks = saved(tmp_path, optimised(Asks()), "asks.json")
    made = [
        spec(state=first),
        spec(state=second),
        spec(state=reason, module="reason"),
        target(Asks),
        target(Asks, state=asks),
        target(Asks, outputs=(*OUTPUTS, Field(name="why", type=STR))),
    ]
    versions = [build_program(each, shop(folder=tmp_path)).version for each in made]
    versions.append(build_program(spec(state=first), shop(OtherLM(), tmp_path)).version)
    assert len(set(versions)) == len(versions)
    assert all(version.startswith("program@") for version in versions)
    again = orjson.loads((tmp_path / first).read_bytes()) | {"train": [1]}
    (tmp_path / "first.json").write_bytes(orjson.dumps(again))
    changed = build_program(spec(state=first), shop(folder=tmp_path)).version
    assert changed not in versions


def read(**entry):
    problems = Problems("desk.yaml")
    found = read_program(Section(entry, "stages.s", problems))["program"]
    return found, [str(p).removeprefix("desk.yaml: ") for p in problems.found]


def test_a_file_says_which_program():
    assert read(state="a.json") == (use(state="a.json"), [])
    assert read(state="a.json", module="react")[0].module == "react"
    assert read(**{"class": "a:B", "threads": 4})[0] == use(target="a:B", threads=4)


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({}, "stages.s.state: is missing"),
        ({"state": "a.json", "threads": 2}, "stages.s.threads: "),
        ({"state": "a.json", "module": "cot"}, "stages.s.module: "),
        ({"class": "a:B", "module": "predict"}, "stages.s.module: "),
        ({"class": "a:B", "threads": 33}, "stages.s.threads: "),
        ({"state": 7}, "stages.s.state: "),
        ({"state": "a.json", "tools": ["a"]}, "stages.s.tools: "),
    ],
)
def test_what_does_not_fit_is_named(entry, place):
    _, (problem,) = read(**entry)
    assert problem.startswith(place)
