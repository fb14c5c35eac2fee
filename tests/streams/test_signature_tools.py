"""Tools that a request offers, and calls of them: as DSPy itself has them, uncalled."""

import json
from typing import TypedDict

import dspy
import pytest

from streams.catalog import toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.errors import ConfigError, StageInputError, StageOutputError
from streams.language.adapter_choice import ADAPTERS
from streams.language.program_file import ProgramUse
from streams.language.stage_spec import StageSpec, Workshop
from streams.lms.demo_layouts import written
from streams.metrics import NullRecorder
from streams.pipeline import compile_text
from streams.session import Turn
from streams.signatures.from_function import read_function
from streams.signatures.misfit import MisfitError
from streams.signatures.parse import parse_signature
from streams.signatures.records import read_types
from streams.signatures.to_class import signature_class
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.validate import Validator
from streams.signatures.values import checker
from streams.stages import compiled
from streams.stages.asking import ModuleStage
from streams.stages.compiled import CompiledStage
from streams.stages.predict import build_predict
from streams.stages.program import build_program
from streams.stages.reading import is_long
from streams.stages.reason import build_reason
from streams.user_code import UserCode
from tests.streams.scripted import Desk, DirectScript, Script
from tests.streams.workshops import asking

LAYOUTS = pytest.mark.parametrize("layout", ADAPTERS)
KINDS = pytest.mark.parametrize("kind", ["predict", "reason"])

ARGS = {"text": {"type": "string", "default": 'a "b" \u00fc'}, "n": {"anyOf": []}}
FIND = {"name": "find", "description": "Find it,\nor not.", "args": json.dumps(ARGS)}
STOP = {"name": "stop", "description": "", "args": "{}"}
CALLED = [{"name": "find", "args": {"text": "<b> & [c]", "n": [1, None]}}]
CALLS = {"tool_calls": [{"name": "find", "args": json.dumps(CALLED[0]["args"])}]}
MARK = (
    '<<CUSTOM-TYPE-START-IDENTIFIER>>[{"type": "image_url"}]'
    "<<CUSTOM-TYPE-END-IDENTIFIER>>"
)
TYPES, _ = read_types(
    {"Box": "label: str, tool: Tool | None", "Plan": "calls: list[ToolCalls]"}
)

OFFER = (
    "question, tool: Tool 'the one', tools: list[Tool], named: dict[str, Tool], "
    "none: Tool | None, box: Box, before: ToolCalls -> calls: ToolCalls, note"
)
FIELDS = {
    "question": "Where <is> it?",
    "tool": FIND,
    "tools": [FIND, STOP],
    "named": {"a": STOP},
    "none": None,
    "box": {"label": "b", "tool": FIND},
    "before": CALLS,
}


def spec_of(text, **options):
    reading = parse_signature(text, TYPES)
    assert reading.problems == ()
    return StageSpec(
        name="ask",
        inputs=tuple(declared.typed(None) for declared in reading.inputs),
        outputs=tuple(declared.typed(None) for declared in reading.outputs),
        options=options,
    )


def find(**_args):
    raise AssertionError


class Made(TypedDict):
    b: str


# What DSPy's own users write; records are dicts.
FIND_ITSELF = dspy.Tool(find, name="find", desc=FIND["description"], args=ARGS)
STOP_ITSELF = dspy.Tool(lambda: None, name="stop", desc="", args={})
BEFORE = dspy.ToolCalls.from_dict_list(CALLED)
ITSELF = {
    **FIELDS,
    "tool": FIND_ITSELF,
    "tools": [FIND_ITSELF, STOP_ITSELF],
    "named": {"a": STOP_ITSELF},
    "box": {"label": "b", "tool": FIND_ITSELF},
    "before": BEFORE,
}


class Offer(dspy.Signature):
    question: str = dspy.InputField()
    tool: dspy.Tool = dspy.InputField(desc="the one")
    tools: list[dspy.Tool] = dspy.InputField()
    named: dict[str, dspy.Tool] = dspy.InputField()
    none: dspy.Tool | None = dspy.InputField()
    box: dict = dspy.InputField()
    before: dspy.ToolCalls = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()
    note: str = dspy.OutputField()


def itself(kind):
    return dspy.Predict(Offer) if kind == "predict" else dspy.ChainOfThought(Offer)


def build(kind, spec, lm, *, through_dspy=False):
    made = build_predict if kind == "predict" else build_reason
    with pytest.MonkeyPatch.context() as patch:
        if through_dspy:
            patch.setattr(compiled, "agrees", lambda *_: False)
        stage = made(spec, asking(lm))
    assert isinstance(stage, ModuleStage if through_dspy else CompiledStage)
    return stage


def with_types_of_records(asked):
    """Return messages with the name of our record where Offer has a dict."""
    text = json.dumps(asked)
    return json.loads(text.replace("`box` (dict)", "`box` (Box)"))


@LAYOUTS
@KINDS
@pytest.mark.parametrize("through_dspy", [False, True], ids=["compiled", "dspy"])
async def test_tools_are_shown_and_calls_are_read_as_dspy_does(
    kind, layout, through_dspy
):
    outputs = {"calls": {"tool_calls": CALLED}, "note": "n"}
    thought = {"reasoning": "So."} if kind == "reason" else {}
    answer = written({**thought, **outputs}, layout=layout)
    script, lm = DirectScript(answer), Script(answer)
    with script.settings(layout, warn_on_type_mismatch=False):
        theirs = await itself(kind).acall(**ITSELF)
    spec = spec_of(OFFER, adapter=layout)
    stage = build(kind, spec, lm, through_dspy=through_dspy)
    outcome = await stage(FIELDS, Desk().run())
    assert lm.asked == with_types_of_records(script.asked)
    assert lm.params == script.params
    made, problems = Validator(spec.outputs)(outcome.outputs)
    assert problems == []
    assert made == Validator(spec.outputs)(dict(theirs))[0]
    (call,) = made["calls"]["tool_calls"]
    args = {"text": "<b> & [c]", "n": [1, None]}
    if layout == "xml":  # where all is text
        args = theirs.calls.tool_calls[0].args
    assert (call["name"], json.loads(call["args"])) == ("find", args)


@LAYOUTS
async def test_earlier_tools_and_calls_are_shown_as_dspy_shows_them(layout):
    class Chat(dspy.Signature):
        tools: list[dspy.Tool] = dspy.InputField()
        chat: dspy.History = dspy.InputField()
        calls: dspy.ToolCalls = dspy.OutputField()

    said = [
        ({"tools": [FIND], "calls": CALLS}, {"tools": [FIND_ITSELF], "calls": BEFORE}),
        ({"tools": ["gone"], "other": 1}, {"tools": ["gone"], "other": 1}),
    ]
    turns = tuple(
        Turn(pipeline="p", request_id=str(at), at_ms=at, fields=ours)
        for at, (ours, _) in enumerate(said)
    )
    answer = written({"calls": {"tool_calls": []}}, layout=layout)
    script, lm = DirectScript(answer), Script(answer)
    history = dspy.History(messages=[theirs for _, theirs in said])
    with script.settings(layout):
        await dspy.Predict(Chat).acall(tools=[STOP_ITSELF], chat=history)
    spec = spec_of("tools: list[Tool], chat: History -> calls: ToolCalls")
    spec = StageSpec(
        name="ask",
        inputs=spec.inputs,
        outputs=spec.outputs,
        options={"adapter": layout},
    )
    stage = build("predict", spec, lm)
    outcome = await stage({"tools": [STOP]}, Desk().run(history=turns))
    assert lm.asked == script.asked
    assert Validator(spec.outputs)(outcome.outputs) == (
        {"calls": {"tool_calls": []}},
        [],
    )


ASK = "question, tools: list[Tool] -> calls: ToolCalls"
SAID = [
    {"tool_calls": [{"name": "a", "args": {}}]},
    [{"name": "a", "args": {"x": 1}}, {"name": "b", "arguments": '{"y": [2]}'}],
    {"name": "a", "args": {"x": None}},
    {"tool_calls": [{"function": {"name": "a", "arguments": "{'x': 1,}"}}]},
    {"tool_calls": []},
    [],
    {"tool_calls": [{"name": "a", "args": [1]}]},
    {"tool_calls": [{"name": None, "args": {}}]},
    {"tool_calls": [{"args": {}}]},
    {"tool_calls": "a"},
    {"tool_calls": [7]},
    {"calls": []},
    "find",
    "",
    None,
    7,
]


@LAYOUTS
@pytest.mark.parametrize("value", SAID, ids=json.dumps)
async def test_an_answer_is_read_as_dspy_reads_it_or_refused_by_both(layout, value):
    text = json.dumps(value)
    answer = {
        "chat": f"[[ ## calls ## ]]\n{text}\n",
        "json": f'{{"calls": {text}}}',
        "xml": f"<calls>{text}</calls>",
    }[layout]
    spec, script = spec_of(ASK, adapter=layout), DirectScript(answer)
    signature = "question, tools: list[dspy.Tool] -> calls: dspy.ToolCalls"
    try:
        with script.settings(layout):
            theirs = await dspy.Predict(signature).acall(question="?", tools=[])
    except dspy.DSPyError:
        theirs = None
    stage = build("predict", spec, Script(answer))
    asked = stage({"question": "?", "tools": []}, Desk().run())
    if theirs is not None:
        assert (await asked).outputs["calls"] == theirs.calls
        return
    with pytest.raises(StageOutputError) as refused:
        await asked
    assert "find" not in str(refused.value)
    assert "Received" not in str(refused.value)


@pytest.mark.parametrize(
    "calls",
    [
        [{"name": "a b", "args": {}}],
        [{"name": "", "args": {}}],
        [{"name": "a", "args": {"n": float("nan")}}],
        [{"name": "a", "args": {"n": "\ud800"}}],
    ],
)
async def test_calls_that_no_record_can_hold_are_no_answer(calls):
    spec = spec_of(ASK)
    answer = f"[[ ## calls ## ]]\n{json.dumps({'tool_calls': calls})}"
    outcome = await build("predict", spec, Script(answer))(
        {"question": "?", "tools": []}, Desk().run()
    )
    _, problems = Validator(spec.outputs)(outcome.outputs)
    assert [name for name, _ in problems] == ["calls"]


@LAYOUTS
async def test_arguments_that_would_take_seconds_to_repair_are_refused(layout):
    call = {"name": "a", "args": '{"x": ' + "{" * 100_000}
    answer = {
        "chat": "[[ ## calls ## ]]\n" + json.dumps({"tool_calls": [call]}),
        "json": json.dumps({"calls": {"tool_calls": [call]}}),
        "xml": written({"calls": {"tool_calls": [call]}}, layout="xml"),
    }[layout]
    stage = build("predict", spec_of(ASK, adapter=layout), Script(answer))
    with pytest.raises(StageOutputError):
        await stage({"question": "?", "tools": []}, Desk().run())


@LAYOUTS
async def test_nor_are_they_in_a_record(layout):
    call = {"name": "a", "args": '{"x": ' + "{" * 100_000}
    answer = written({"plan": {"calls": [{"tool_calls": [call]}]}}, layout=layout)
    stage = build(
        "predict", spec_of("question -> plan: Plan", adapter=layout), Script(answer)
    )
    with pytest.raises(StageOutputError):
        await stage({"question": "?"}, Desk().run())


@pytest.mark.parametrize("hidden", ["\\u007b", "\\u005B", "\\u005cu007b"])
def test_brackets_that_hide_in_escapes_count_as_brackets(hidden):
    assert is_long(hidden * 201)
    assert not is_long(hidden * 200)


# --- nothing is called, and nothing is taken for what it is not ----------------------


@LAYOUTS
@pytest.mark.parametrize("through_dspy", [False, True], ids=["compiled", "dspy"])
@pytest.mark.parametrize(
    "tool",
    [
        {**STOP, "description": MARK},
        {**STOP, "args": json.dumps({MARK: {}})},
        {**STOP, "args": json.dumps({"a": {"title": MARK}}).replace("<", "\\u003c")},
    ],
    ids=["description", "args", "escaped"],
)
async def test_a_mark_of_dspys_in_a_tool_stays_text(layout, through_dspy, tool):
    answer = written({"calls": {"tool_calls": []}}, layout=layout)
    lm = Script(answer)
    stage = build(
        "predict", spec_of(ASK, adapter=layout), lm, through_dspy=through_dspy
    )
    await stage({"question": MARK, "tools": [tool]}, Desk().run())
    ((_, user),) = lm.asked
    assert isinstance(user["content"], str)
    assert user["content"].count("<<CUSTOM-TYPE-START-IDENTIFIER>>") == 2


@pytest.mark.parametrize("field", ["tools", "before"])
async def test_a_mark_in_a_tool_beside_images_is_refused_however_it_is_written(field):
    spec = spec_of("shot: Image, tools: list[Tool], before: ToolCalls -> note")
    stage = build_predict(spec, asking(Script("[[ ## note ## ]]\nn")))
    args = json.dumps({"a": {"title": MARK, "maximum": 2**70}})
    args = args.replace("<", "\\u003c")
    fields = {
        "shot": "https://a.example/b.png",
        "tools": [STOP],
        "before": {"tool_calls": []},
    }
    bad = {**STOP, "args": args}
    fields[field] = [bad] if field == "tools" else {"tool_calls": [bad]}
    with pytest.raises(StageInputError, match="DSPy's mark of an image"):
        await stage(fields, Desk().run())


class Curious(dspy.Module):
    """A user's module that calls a tool which it was given."""

    async def aforward(self, tool):
        called = []
        for call in (tool, tool.func):
            try:
                call(text="x")
            except RuntimeError as error:
                called.append(str(error))
        note = f"{tool.name}: {tool.desc}: {called[0] == called[1]}: {called[0]}"
        return dspy.Prediction(note=note, calls=[{"name": "a", "args": {}}])


async def test_a_module_is_given_tools_that_nobody_here_can_call():
    use = ProgramUse(
        state=None, module="predict", target=f"{__name__}:Curious", threads=None
    )
    spec = spec_of("tool: Tool -> note", program=use)
    shop = Workshop(code=UserCode([__name__]), lm=Script())
    outcome = await build_program(spec, shop)({"tool": FIND}, Desk().run())
    assert outcome.outputs["note"] == (
        "find: Find it,\nor not.: True: "
        "this tool is the requester's: only who reads the result can call it"
    )


def test_no_lm_writes_a_tool():
    with pytest.raises(ConfigError, match="found is a Tool, which no LM writes"):
        build_predict(spec_of("question -> found: list[Tool]"), asking(Script()))


# --- values --------------------------------------------------------------------------


def test_objects_of_dspys_are_taken_as_their_records():
    assert checker(TOOL)(FIND_ITSELF) == {**FIND, "args": checked(ARGS)}
    assert checker(TOOL_CALLS)(BEFORE) == {
        "tool_calls": [{"name": "find", "args": checked(CALLED[0]["args"])}]
    }


def checked(args):
    return json.dumps(args, ensure_ascii=False)


def test_args_stay_the_text_that_they_were():
    text = '{ "a":{"minimum":1e3} ,"a":{}}'
    assert checker(TOOL)({"name": "f", "args": text})["args"] == text
    assert checker(TOOL)({"name": "f"}) == {**STOP, "name": "f"}


ARGUMENTS = [
    "",
    "x",
    "[]",
    "null",
    '{"a": NaN}',
    '{"a": {"b": 1e999}}',
    '{"a": {"b": "\\ud800"}}',
    '{"a": {"a": ' * 33 + "1" + "}}" * 33,
    7,
    {},
    None,
]


@pytest.mark.parametrize("args", [*ARGUMENTS, '{"a": 1}', '{"a": true}'])
def test_what_is_no_tool_is_refused(args):
    with pytest.raises(MisfitError):
        checker(TOOL)({"name": "f", "args": args})


@pytest.mark.parametrize("args", ARGUMENTS)
def test_what_are_no_calls_is_refused(args):
    with pytest.raises(MisfitError):
        checker(TOOL_CALLS)({"tool_calls": [{"name": "f", "args": args}]})


@pytest.mark.parametrize("value", [None, "f", [], {}, dspy.Tool(find, args={"a": {1}})])
def test_what_is_no_record_is_neither(value):
    for kind in (TOOL, TOOL_CALLS):
        with pytest.raises(MisfitError):
            checker(kind)(value)


def test_a_record_of_a_file_cannot_be_called_so():
    for name in ("Tool", "ToolCalls", "CalledTool"):
        assert read_types({name: "a: str"})[1] == [(name, f"{name} is a type already")]
    assert read_types({"ToolCall": "a: str"})[1] == []


def test_a_class_of_tools_is_dspys():
    spec = spec_of("tools: list[Tool] -> calls: ToolCalls")
    made = signature_class("Ask", spec.inputs, spec.outputs)
    assert made.input_fields["tools"].annotation == list[dspy.Tool]
    assert made.output_fields["calls"].annotation is dspy.ToolCalls


@pytest.mark.parametrize("hint", [dspy.Tool, list[dspy.Tool], dspy.ToolCalls | None])
def test_a_function_is_given_dicts_and_asks_for_no_objects(hint):
    def work(a):
        return {"b": a}

    work.__annotations__ = {"a": hint, "return": Made}
    assert read_function(work).problems == (
        "its parameter a has a type that no field can have",
    )


# --- a pipeline ----------------------------------------------------------------------

PIPELINE = """
pipeline: desk
version: 1
types: {ToolCall: "tool: str"}
input: "question: str, tools: list[Tool, ..8], mine: ToolCall | None"
output: "calls: ToolCalls, known: bool, first: str, mine: ToolCall | None"
lms: {small: {model: local/demo}}
stages:
  choose: {predict: "question, tools -> calls: ToolCalls"}
  check:
    validate: "tools, calls -> known: bool"
    rules: {a tool: "calls.tool_calls.all(c, c.name in tools.map(t, t.name))"}
  say: {template: "calls -> first: str", text: "{{ calls.tool_calls | length }} calls"}
flow: [choose, check, say]
"""


async def test_a_pipeline_takes_tools_and_leaves_calls(bench):
    shop = toolbox(Settings(), {}, NullRecorder(), SystemClock())
    pipeline = compile_text(PIPELINE, "desk.yaml", shop)
    inputs = {"question": "Which?", "tools": [FIND, STOP], "mine": None}
    end = await bench.run(pipeline, inputs=inputs)
    assert end.result.status == "OK", end.result.error
    outputs = end.result.outputs
    names = [call["name"] for call in outputs["calls"]["tool_calls"]]
    assert outputs["first"] == f"{len(names)} calls"
    assert outputs["known"] == all(name in ("find", "stop") for name in names)


async def test_a_request_with_a_wrong_tool_is_rejected(bench):
    shop = toolbox(Settings(), {}, NullRecorder(), SystemClock())
    pipeline = compile_text(PIPELINE, "desk.yaml", shop)
    inputs = {"question": "?", "tools": [{"name": "f", "args": "["}], "mine": None}
    end = await bench.run(pipeline, inputs=inputs)
    assert end.result.status == "REJECTED"
    assert "tools" in end.result.error.message
