"""react is dspy.ReAct: same messages, same outputs; tools are called once and told."""

# ruff: noqa: ARG001 - a tool has the parameters that its LM may give
import asyncio
import json
import re
import threading
import time
from typing import Literal

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError

from streams import patience
from streams.errors import (
    ConfigError,
    ModelBusyError,
    ModelContextError,
    StageInputError,
    StageOutputError,
)
from streams.language.problems import Problems
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.language.tools import ToolText as Text
from streams.language.tools import (
    ToolUse,
    find_tools,
    open_tool,
    read_tool_use,
    read_tools,
)
from streams.lms.demo import DemoLM
from streams.session import Turn
from streams.signatures.types import HISTORY, INT, STR, Field
from streams.stages.react import build_react, react_outputs
from streams.stages.tool_calls import RECORDED_CHARS, RESULT_CHARS
from streams.user_code import UserCode
from tests.streams.scripted import TOO_LONG, Desk, DirectScript, Script, said

CALLED = []


def lookup(order: str, days: int = 7) -> dict:
    """Find an order.

    Its state, that is.
    """
    CALLED.append((order, days))
    return {"order": order, "state": "sent", "days": days}


def names(prefix: str, kind: Literal["a", "b"] = "a") -> list:
    """List names."""
    return [f"{prefix}1", f"{prefix}ü"]


def fails(order: str) -> str:
    """Fail."""
    reason = f"no {order}"
    raise LookupError(reason)


async def later(order: str) -> str:
    """Say it later."""
    await asyncio.sleep(0)
    return f"later {order}"


class BEGAN:
    call = staticmethod(bool)


async def hangs(order: str) -> str:
    """Never answer."""
    BEGAN.call()
    await asyncio.Event().wait()
    return order


async def sleeps(order: str) -> str:
    """Answer while the process sleeps, until after the timeout."""
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    other = threading.Thread(
        target=loop.call_soon_threadsafe, args=(answer.set_result, order)
    )
    other.start()
    other.join()
    time.sleep(0.1)  # noqa: ASYNC251 - that is the case
    return await answer


async def gives_up(order: str) -> str:
    """Let its own cancellation escape."""
    raise asyncio.CancelledError


def stops(order: str) -> str:
    """Raise what no future can hold."""
    raise StopIteration


def where(order: str) -> str:
    """Say which thread it is."""
    return threading.current_thread().name


def huge(order: str) -> str:
    """Return far too much."""
    return "x" * 100_000


def half(order: str) -> str:
    """Return half a character."""
    return "\ud800"


TOOLS = (lookup, names, fails, later, hangs, sleeps, gives_up, stops, where, huge, half)
CODE = UserCode([__name__])
SPEC_FIELDS = (
    (Field(name="question", type=STR, description="Asked by mail."),),
    (Field(name="answer", type=STR), Field(name="count", type=INT)),
)
DONE = {"reasoning": "found it", "answer": "sent", "count": 2}


def tool(function, **rest):
    given = {"timeout_s": 30.0, "description": "", **rest}
    text = Text(target=f"{__name__}:{function.__name__}", **given)
    return open_tool(function.__name__, text, CODE)


def stage(lm, tools=TOOLS, use=None, fields=SPEC_FIELDS, **rest):
    use = use or {}
    made = {t.__name__: tool(t) for t in tools}
    limits = {"max_calls": 5, "timeout_s": None, **use}
    return build_react(
        StageSpec(
            name="draft",
            inputs=fields[0],
            outputs=fields[1],
            options={"tool_use": ToolUse(tools=tuple(made), **limits)},
            **rest,
        ),
        Workshop(code=CODE, lm=lm, tools=made),
    )


def turn(name, thought="I think.", **arguments):
    return said(
        next_thought=thought,
        next_tool_name=name,
        next_tool_args=json.dumps(arguments, ensure_ascii=False),
    )


END = (turn("finish"), said(**DONE))


def without_tracebacks(asked):
    """Return messages with what DSPy tells of an error cut to its last line."""
    told = re.compile(
        r"(Execution error in \w+: \n)Traceback.*?([\w.]+Error:[^\n]*)"
        r"(?=\n\n\[\[|\n\nRespond)",
        re.DOTALL,
    )
    return [
        [{**m, "content": told.sub(r"\1\2", m["content"])} for m in messages]
        for messages in asked
    ]


async def by_dspy(answers, tools, max_iters=5, fields=SPEC_FIELDS, **inputs):
    from streams.signatures.to_dspy import dspy_signature  # noqa: PLC0415 - here only

    script = DirectScript(*answers)
    module = dspy.ReAct(dspy_signature(*fields), list(tools), max_iters=max_iters)
    with script.settings():
        try:
            prediction = await module.acall(**inputs)
        except Exception as error:  # noqa: BLE001 - to be compared
            return script, error
    return script, dict(prediction)


SCRIPTS = {
    "one tool": [turn("lookup", order="7"), *END],
    "two tools": [turn("lookup", order="7", days=1), turn("names", prefix="n"), *END],
    "async tool": [turn("later", order="7"), *END],
    "no tool": [*END],
    "finish with arguments": [turn("finish", answer="sent"), said(**DONE)],
    "a tool fails": [turn("fails", order="7"), *END],
    "wrong type": [turn("lookup", order=7), *END],
    "wrong choice": [turn("names", prefix="a", kind="z"), *END],
    "unknown argument": [turn("lookup", order="7", colour="red"), *END],
    "missing argument": [turn("lookup"), *END],
    "argument called self": [turn("lookup", self="x"), *END],
    "text everywhere": [turn("lookup", "«two»\nlines [[ ## x ## ]]", order="ü"), *END],
    "iterations used up": [turn("lookup", order=str(n)) for n in range(5)]
    + [said(**DONE)],
    "unknown tool": [turn("lookup", order="7"), turn("teleport")],
    "no field": ["what?"],
    "unusable end": [turn("finish"), said(reasoning="r", answer="a", count="many")],
    "too long once": [
        turn("lookup", order="1"),
        turn("lookup", order="2"),
        TOO_LONG,
        *END,
    ],
    "too long at the end": [
        turn("lookup", order="1"),
        turn("finish"),
        TOO_LONG,
        said(**DONE),
    ],
    "too long with one call": [turn("lookup", order="1"), TOO_LONG, said(**DONE)],
    "too long for ever": [turn("lookup", order="1"), TOO_LONG, TOO_LONG],
}


@pytest.mark.parametrize("answers", SCRIPTS.values(), ids=SCRIPTS)
async def test_messages_and_outputs_are_those_of_dspy(answers):
    tools = TOOLS[:4]
    script, theirs = await by_dspy(answers, tools, question="Where is it?")
    lm = Script(*answers)
    try:
        outcome = await stage(lm, tools)({"question": "Where is it?"}, Desk().run())
        ours = dict(outcome.outputs)
        ours.pop("tool_calls")
    except (StageOutputError, ModelContextError) as error:
        ours = error
    assert lm.asked == without_tracebacks(script.asked)
    if isinstance(theirs, dict):
        assert ours == {name: theirs[name] for name in ours}
        assert list(ours) == ["reasoning", "answer", "count"]
    else:
        unread = isinstance(theirs, AdapterParseError)
        wanted = StageOutputError if unread else ModelContextError
        assert isinstance(ours, wanted)


async def test_history_and_instructions_are_asked_as_dspy_asks_them():
    fields = ((*SPEC_FIELDS[0], Field(name="history", type=HISTORY)), SPEC_FIELDS[1])
    fields_of_a_turn = {"question": "Hello?", "answer": "Yes.", "count": 1}
    turns = (Turn(pipeline="p", request_id="a", at_ms=1, fields=fields_of_a_turn),)
    answers = SCRIPTS["one tool"]
    history = dspy.History(messages=[fields_of_a_turn])
    script, _ = await by_dspy(
        answers, TOOLS[:1], fields=fields, question="Where?", history=history
    )
    lm = Script(*answers)
    await stage(lm, TOOLS[:1], fields=fields)(
        {"question": "Where?"}, Desk().run(history=turns)
    )
    assert lm.asked == script.asked


async def test_a_history_that_cannot_be_shown_is_an_input_error():
    fields = ((*SPEC_FIELDS[0], Field(name="history", type=HISTORY)), SPEC_FIELDS[1])
    odd = Turn(pipeline="p", request_id="a", at_ms=1, fields={"x": {"tool_calls": 7}})
    lm = Script()
    with pytest.raises(StageInputError, match="history"):
        await stage(lm, fields=fields)({"question": "?"}, Desk().run(history=(odd,)))


async def test_tool_calls_in_a_history_are_a_field_like_others():
    fields = ((*SPEC_FIELDS[0], Field(name="history", type=HISTORY)), SPEC_FIELDS[1])
    calls, _ = await calls_of(turn("lookup", order="7"))
    before = {"question": "Hello?", "answer": "a", "count": 1, "tool_calls": calls}
    turns = (Turn(pipeline="p", request_id="a", at_ms=1, fields=before),)
    lm = Script(*END)
    made = stage(lm, fields=fields)
    outcome = await made({"question": "?"}, Desk().run(history=turns))
    assert outcome.outputs["tool_calls"] == []


async def test_what_the_lm_is_told_of_a_tool_may_stand_in_the_file():
    lm = Script(*END)
    shop = {"lookup": tool(lookup, description="Where an order is.")}
    use = ToolUse(tools=("lookup",), max_calls=2, timeout_s=None)
    made = build_react(
        StageSpec(
            name="s",
            inputs=SPEC_FIELDS[0],
            outputs=SPEC_FIELDS[1],
            options={"tool_use": use},
        ),
        Workshop(code=CODE, lm=lm, tools=shop),
    )
    await made({"question": "?"}, Desk().run())
    assert "<desc>Where an order is.</desc>" in lm.asked[0][0]["content"]


# --- tools ---------------------------------------------------------------------------


async def calls_of(*turns, **rest):
    lm = Script(*turns, *END)
    outcome = await stage(lm, **rest)({"question": "?"}, Desk().run())
    return outcome.outputs["tool_calls"], lm


async def test_each_tool_call_is_recorded_and_finish_is_none():
    calls, _ = await calls_of(
        turn("lookup", order="7"), turn("fails", order="8"), turn("lookup", order=9)
    )
    assert [(c["tool"], json.loads(c["arguments"]), c["ok"]) for c in calls] == [
        ("lookup", {"order": "7"}, True),
        ("fails", {"order": "8"}, False),
        ("lookup", {"order": 9}, False),
    ]
    assert calls[0]["result"] == '{"order": "7", "state": "sent", "days": 7}'
    assert calls[1]["result"].endswith("LookupError: no 8")
    assert calls[2]["result"].endswith(
        "ValueError: Arg order is invalid: 9 is not of type 'string'"
    )


async def test_records_fit_the_type_that_the_stage_says_they_have():
    from streams.signatures.validate import Validator  # noqa: PLC0415 - here only

    lm = Script(turn("lookup", order="7"), *END)
    outcome = await stage(lm)({"question": "?"}, Desk().run())
    spec = StageSpec(name="s", inputs=SPEC_FIELDS[0], outputs=SPEC_FIELDS[1])
    clean, problems = Validator(react_outputs(spec))(outcome.outputs)
    assert not problems
    assert clean == outcome.outputs


async def test_what_a_tool_raises_is_told_in_a_line_without_paths():
    _, lm = await calls_of(turn("fails", order="8"))
    told = lm.asked[1][-1]["content"]
    assert "Execution error in fails: \nLookupError: no 8" in told
    assert "File" not in told


async def test_a_tool_that_takes_too_long_is_told_to_the_lm():
    calls, _ = await calls_of(turn("hangs", order="8"), use={"timeout_s": 0.01})
    assert calls[0]["result"].endswith("TimeoutError: no answer within 0.01 s")


async def test_an_answer_of_a_tool_that_came_while_the_process_slept_is_taken(
    monkeypatch,
):
    monkeypatch.setattr(patience, "LATE_S", 0.05)
    calls, _ = await calls_of(turn("sleeps", order="8"), use={"timeout_s": 0.01})
    assert (calls[0]["ok"], calls[0]["result"]) == (True, "8")


async def test_a_tool_that_gives_itself_up_is_told_to_the_lm():
    calls, _ = await calls_of(turn("gives_up", order="8"), turn("stops", order="8"))
    assert [call["ok"] for call in calls] == [False, False]


async def test_a_tool_that_may_block_runs_on_a_thread_of_user_code():
    calls, _ = await calls_of(turn("where", order="8"))
    assert calls[0]["result"].startswith("penstock-code")


async def test_what_a_tool_returns_is_bounded_for_the_lm_and_in_records():
    calls, lm = await calls_of(turn("huge", order="x" * 5_000))
    assert len(lm.asked[1][-1]["content"]) < RESULT_CHARS + 7_000
    assert len(calls[0]["result"]) < RECORDED_CHARS + 50
    assert len(calls[0]["arguments"]) < RECORDED_CHARS + 50


async def test_half_a_character_ends_nothing():
    halves = said(
        next_thought="t", next_tool_name="half", next_tool_args='{"order": "\\ud800"}'
    )
    calls, _ = await calls_of(halves)
    assert calls[0]["result"] == "?"


async def test_a_marker_of_dspys_custom_types_in_a_result_stays_text():
    marked = (
        '<<CUSTOM-TYPE-START-IDENTIFIER>>[{"type": "image_url", "image_url": '
        '{"url": "http://internal"}}]<<CUSTOM-TYPE-END-IDENTIFIER>>'
    )
    _, lm = await calls_of(turn("later", order=marked))
    assert f"later {marked}" in lm.asked[1][-1]["content"]


async def test_a_cancelled_stage_is_cancelled_in_its_tool(monkeypatch):
    began = asyncio.Event()
    monkeypatch.setattr(BEGAN, "call", began.set)
    lm = Script(turn("hangs", order="8"))
    task = asyncio.create_task(stage(lm)({"question": "?"}, Desk().run()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- the journal ---------------------------------------------------------------------


@pytest.mark.parametrize("done", range(5))
async def test_a_resumed_loop_repeats_nothing_that_was_done(done):
    answers = [turn("lookup", order="a"), turn("lookup", order="b"), *END]
    whole = Desk()
    expected = await stage(Script(*answers))({"question": "?"}, whole.run())
    whole.calls.purse.save()
    CALLED.clear()
    # Entries: ask, effect, ask, effect, ask, ask.
    kept = whole.entries[:done]
    asked = [e for e in kept if e.usage.calls]
    lm = Script(*answers[len(asked) :])
    outcome = await stage(lm)({"question": "?"}, Desk(kept).run())
    assert outcome.outputs == expected.outputs
    assert not lm.answers
    assert len(CALLED) == 2 - (len(kept) - len(asked))


async def test_an_attempt_that_failed_for_want_of_an_answer_goes_on_where_it_was():
    busy = ModelBusyError("draft", "small", "429", None)
    lm = Script(turn("lookup", order="a"), busy, *END)
    desk, made = Desk(), stage(lm)
    CALLED.clear()
    with pytest.raises(ModelBusyError) as caught:
        await made({"question": "?"}, desk.run())
    assert caught.value is busy
    desk.calls.fail(burn=False)
    outcome = await made({"question": "?"}, desk.run())
    assert outcome.outputs["answer"] == "sent"
    assert len(CALLED) == 1


async def test_runs_at_the_same_time_keep_their_tools_apart():
    made = stage(DemoLM("demo"), tools=(lookup, later), use={"max_calls": 3})
    desks = [Desk() for _ in range(20)]
    ended = await asyncio.gather(
        *(made({"question": f"order {n}"}, d.run()) for n, d in enumerate(desks))
    )
    alone = [
        await made({"question": f"order {n}"}, Desk().run()) for n in range(len(desks))
    ]
    assert [e.outputs for e in ended] == [e.outputs for e in alone]
    assert dspy.settings.lm is None


# --- versions, files and problems ----------------------------------------------------


class OtherLM(Script):
    fingerprint = "other"


def test_a_version_changes_with_everything_that_changes_answers():
    lm = Script()
    versions = [
        stage(lm).version,
        stage(OtherLM()).version,
        stage(lm, TOOLS[:2]).version,
        stage(lm, use={"max_calls": 6}).version,
        stage(lm, instructions="Be kind.").version,
        stage(lm, fields=(SPEC_FIELDS[0], SPEC_FIELDS[1][:1])).version,
    ]
    assert len(set(versions)) == len(versions)
    assert all(re.fullmatch(r"react@[0-9a-f]{12}", v) for v in versions)
    assert stage(lm).version == stage(lm, use={"timeout_s": 1.0}).version


@pytest.mark.parametrize("name", ["reasoning", "trajectory", "tool_calls", "max_iters"])
def test_names_that_the_loop_needs_are_refused(name):
    fields = (SPEC_FIELDS[0], (Field(name=name, type=STR),))
    with pytest.raises(ConfigError, match="react uses itself"):
        stage(Script(), fields=fields)


def test_an_unknown_tool_is_named():
    use = ToolUse(tools=("look",), max_calls=1, timeout_s=None)
    spec = StageSpec(
        name="s",
        inputs=SPEC_FIELDS[0],
        outputs=SPEC_FIELDS[1],
        options={"tool_use": use},
    )
    shop = Workshop(code=CODE, lm=Script(), tools={"lookup": tool(lookup)})
    with pytest.raises(ConfigError, match=r"no tool is called look; .*lookup"):
        build_react(spec, shop)


def untyped(order):
    """Find it."""


def undescribed(order: str) -> str:
    return order


def starred(*orders: str) -> str:
    """Find them."""
    return orders[0]


def odd(order: complex) -> str:
    """Find it."""
    return str(order)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (untyped, "its parameter order needs a type"),
        (undescribed, "say what it does"),
        (starred, "cannot be given by name"),
        (odd, "has a type that no field can have"),
    ],
)
def test_a_tool_that_no_lm_could_call_is_refused(function, problem):
    with pytest.raises(ConfigError, match=problem):
        tool(function)


def test_tools_are_read_and_found_with_every_problem():
    problems = Problems("desk.yaml")
    said_in_file = {
        "lookup": {"call": f"{__name__}:lookup", "timeout": "5s"},
        "finish": {"call": f"{__name__}:lookup"},
        "shell": {"call": "os:system"},
        "empty": {},
        "text": "lookup",
        "more": {"call": f"{__name__}:names", "retries": 2},
    }
    texts = read_tools(Section(said_in_file, "tools", problems))
    found = find_tools(texts, CODE, problems)
    assert set(found) == {"lookup", "more"}
    assert found["lookup"].timeout_s == 5.0
    places = sorted(str(p).split(": ")[1] for p in problems.found)
    assert places == [
        "tools.empty.call",
        "tools.finish",
        "tools.more.retries",
        "tools.shell.call",
        "tools.text",
    ]


def test_a_stage_says_which_tools_how_often_and_how_long():
    problems = Problems("desk.yaml")
    entry = {"tools": ["a", "b", "a"], "max_calls": 6, "tool_timeout": "5s"}
    use = read_tool_use(Section(entry, "stages.s", problems))
    assert use == ToolUse(tools=("a", "b"), max_calls=6, timeout_s=5.0)
    assert read_tool_use(Section({}, "stages.s", problems)).max_calls == 20
    assert not problems.found
    read_tool_use(Section({"tools": "a", "max_calls": 0}, "stages.s", problems))
    assert len(problems.found) == 2
