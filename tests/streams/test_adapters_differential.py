"""Every kind that asks an LM, with every adapter and type: as DSPy itself has it.

Both ask the same script: messages, parameters and outputs have to be the same.
"""

import json
import re
from functools import partial

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError
from hypothesis import given
from hypothesis import strategies as st

from streams.calls import digest_of
from streams.catalog import STAGE_KINDS, toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.errors import StageOutputError
from streams.language.adapter_choice import ADAPTERS
from streams.language.problems import Problems
from streams.language.program_file import ProgramUse
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.language.tools import ToolText, ToolUse, open_tool
from streams.language.trials import Trials
from streams.lms.demo_layouts import written
from streams.lms.dspy_engine import CallsEngine, NoSyncEngine, bound_lm, params_for
from streams.metrics import NullRecorder
from streams.pipeline import compile_text
from streams.programs import dspy_adapter
from streams.session import Turn
from streams.signatures.to_dspy import dspy_signature
from streams.signatures.types import HISTORY, INT, STR, Field, ListOf, MapOf, Maybe
from streams.signatures.validate import Validator
from streams.stage import LMCall
from streams.stages.adapter import READERS
from streams.stages.compiled import CompiledStage
from streams.stages.predict import build_predict
from streams.stages.probes import probes_of
from streams.stages.program import build_program
from streams.stages.prompt import Prompt
from streams.stages.react import build_react
from streams.stages.reading import UnusableAnswerError
from streams.stages.reason import build_reason
from streams.user_code import UserCode
from streams.views.explain import explanation_of
from tests.streams.scripted import Desk, DirectScript, Script
from tests.streams.test_serving_differential import FIELDS, TRICKY, renamed, tried

TICKET = Field(name="ticket", type=STR, description="by mail")
LAYOUTS = pytest.mark.parametrize("layout", ADAPTERS)
WITHOUT_SECTIONS = pytest.mark.parametrize("layout", ["json", "xml"])
EACH = pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)


def reward(_inputs, _outputs):
    """Return what no try is content with."""
    return 0.5


def look() -> str:
    """Look around."""
    return "<nothing> & more"


class Code(UserCode):
    """User code of this module, and the class that a test made."""

    def __init__(self, made=None):
        super().__init__([__name__])
        self._made = made

    def find(self, target):
        return self._made if target == "made" else super().find(target)


def program_of(signature):
    class Twice(dspy.Module):
        """Asks the same thing twice."""

        def __init__(self):
            super().__init__()
            self.first = dspy.Predict(signature)
            self.second = dspy.ChainOfThought(signature)

        async def aforward(self, **inputs):
            await self.first.acall(**inputs)
            return await self.second.acall(**inputs)

    return Twice


class Case:
    """One kind of stage beside the module of DSPy that it is."""

    def __init__(self, kind, layout, field):
        (self.output,) = renamed([field], "out_")
        self.inputs, self.kind, self.layout = (TICKET, field), kind, layout
        self.signature = dspy_signature(self.inputs, (self.output,))
        self.probes = probes_of(self._spec(), (self.output,))

    def answers(self, outputs):
        """Return what the LM says, call by call."""
        say = partial(written, layout=self.layout)
        plain, thought = say(outputs), say({"reasoning": "It <is> so.", **outputs})
        turn = {"next_thought": "t & t", "next_tool_name": "look", "next_tool_args": {}}
        end = {**turn, "next_tool_name": "finish"}
        advice = {"discussion": "Short.", "advice": {"self": "Say more."}}
        return {
            "predict": [plain],
            "reason": [thought],
            "program": [plain, thought],
            "react": [say(turn), say(end), thought],
            "best_of": [plain, "nothing", plain],
            "refine": [plain, say(advice), plain],
        }[self.kind]

    def stage(self, lm, tries=None):
        build = {
            "reason": build_reason,
            "react": build_react,
            "program": build_program,
        }.get(self.kind, build_predict)
        code = Code(program_of(self.signature))
        text = ToolText(target=f"{__name__}:look", timeout_s=9.0, description="")
        tools = {"look": open_tool("look", text, code)}
        return build(self._spec(tries), Workshop(code=code, lm=lm, tools=tools))

    def module(self):
        match self.kind:
            case "reason":
                return dspy.ChainOfThought(self.signature)
            case "react":
                return dspy.ReAct(self.signature, [look], max_iters=3)
            case "program":
                return program_of(self.signature)()
            case _:
                return dspy.Predict(self.signature)

    async def by_dspy(self, answers, inputs):
        script, module = DirectScript(*answers), self.module()
        several = {"best_of": dspy.BestOfN, "refine": dspy.Refine}.get(self.kind)
        # Records are typed dicts, at which DSPy's check of types stumbles.
        quiet = {"trace": [], "warn_on_type_mismatch": False}
        with script.settings(self.layout, **quiet):
            if several is None:
                return script, dict(await module.acall(**inputs))
            n = len([answer for answer in answers if "Say more" not in answer])
            made = several(module, N=n, reward_fn=reward, threshold=1.0)
            return script, dict(made(**inputs))

    def usable(self):
        """Return probes whose outputs keep the bounds of their field."""
        check = Validator((self.output,))
        return [probe for probe in self.probes if not check(probe.outputs)[1]]

    def _spec(self, tries=None):
        tries = tries or (self.kind if self.kind in {"best_of", "refine"} else None)
        trials = Trials(
            manner=tries or "best_of",
            n=3 if self.kind == "best_of" else 2,
            reward=f"{__name__}:reward",
            threshold=1.0,
            fail_count=3,
        )
        use = ProgramUse(state=None, module="predict", target="made", threads=None)
        return StageSpec(
            name="draft",
            inputs=self.inputs,
            outputs=(self.output,),
            options={
                "adapter": self.layout,
                "trials": trials if tries else None,
                "tool_use": ToolUse(tools=("look",), max_calls=3, timeout_s=None),
                "program": use,
            },
        )


ONE_CALL, SEVERAL = ("predict", "reason"), ("react", "program", "best_of", "refine")
CASES = [(kind, field) for kind in ONE_CALL for field in FIELDS]
CASES += [(kind, field) for kind in SEVERAL for field in FIELDS[::3]]
"""Each costs DSPy's price several times: the dear ones have every third type."""


@LAYOUTS
@pytest.mark.parametrize(
    ("kind", "field"), CASES, ids=lambda it: getattr(it, "name", it)
)
async def test_a_stage_asks_and_answers_as_dspy_does(kind, layout, field):
    case = Case(kind, layout, field)
    probe = case.usable()[0]
    answers = case.answers(probe.outputs)
    script, theirs = await case.by_dspy(list(answers), probe.inputs)
    lm = Script(*answers)
    outcome = await case.stage(lm)(probe.inputs, Desk().run())
    assert without_the_reward(lm.asked) == without_the_reward(script.asked)
    assert lm.params == script.params
    check = Validator((case.output,))
    assert check(outcome.outputs) == check(theirs)
    assert not lm.answers
    shared = outcome.outputs.keys() & {"reasoning"}
    assert {n: outcome.outputs[n] for n in shared} == {n: theirs[n] for n in shared}


@LAYOUTS
async def test_a_refined_loop_shows_its_trajectory_and_its_hints_as_dspy_does(layout):
    case, say = Case("react", layout, FIELDS[0]), partial(written, layout=layout)
    loop = case.answers({"out_str": "Sent & <gone>"})
    advice = {"react": "Look twice.", "extract.predict": "Be long."}
    answers = [*loop, say({"discussion": "d", "advice": advice}), *loop]
    script, lm = DirectScript(*answers), Script(*answers)
    with script.settings(layout, trace=[]):
        refined = dspy.Refine(case.module(), N=2, reward_fn=reward, threshold=1.0)
        theirs = refined(ticket="t", str="s")
    outcome = await case.stage(lm, tries="refine")(
        {"ticket": "t", "str": "s"}, Desk().run()
    )
    assert without_the_reward(lm.asked) == without_the_reward(script.asked)
    assert "Look twice." in lm.asked[4][-1]["content"]
    assert outcome.outputs["out_str"] == theirs.out_str


def without_the_reward(asked):
    """Return messages without the code of the reward, which is another for us."""
    code = re.compile(
        r"(reward_code(?: ## \]\]|>)\n).*?(?=\n\n\[\[ ## target|\n</reward_code>)",
        re.DOTALL,
    )
    cut = partial(code.sub, r"\1")
    return [[{**m, "content": cut(m["content"])} for m in each] for each in asked]


@WITHOUT_SECTIONS
@EACH
def test_these_types_are_compiled(layout, field):
    assert isinstance(Case("predict", layout, field).stage(Script()), CompiledStage)


@WITHOUT_SECTIONS
def test_messages_are_the_same_with_demos_and_history(layout):
    inputs, outputs = (*FIELDS, Field(name="history", type=HISTORY)), FIELDS[:9]
    outputs = renamed(outputs, "out_")
    signature, plain = dspy_signature(inputs, outputs), dspy_adapter(layout)
    spec = StageSpec(name="draft", inputs=inputs, outputs=outputs)
    demos = [dict(probe.inputs | probe.outputs) for probe in probes_of(spec, outputs)]
    demos.append({"str": "only <this>"})
    prompt = Prompt(plain, signature, demos)
    for probe in probes_of(spec, outputs):
        turns = [dict(turn.fields) for turn in probe.history]
        given = {**probe.inputs, "history": dspy.History(messages=turns)}
        theirs = plain.format(signature, demos, given)
        assert list(prompt.messages(probe.inputs, probe.history)) == theirs


@WITHOUT_SECTIONS
def test_a_marker_of_dspys_custom_types_in_a_text_stays_text(layout):
    mark = "<<CUSTOM-TYPE-START-IDENTIFIER>>[]<<CUSTOM-TYPE-END-IDENTIFIER>>"
    prompt = Prompt(dspy_adapter(layout), dspy_signature((TICKET,), FIELDS[:1]))
    turn = Turn(pipeline="p", request_id="a", at_ms=1, fields={"ticket": mark})
    assert mark in str(prompt.messages({"ticket": mark}, (turn,))[-1]["content"])


# --- answers -------------------------------------------------------------------------


def said_in(layout, name, text):
    """Return answers whose field is *text*: as it stands, and as a text."""
    if layout == "xml":
        safe = text.replace("&", "&amp;").replace("<", "&lt;")
        return [f"<{name}>{text}</{name}>", f"<{name}>\n{safe}\n</{name}>"]
    return [f'{{"{name}": {text}}}', json.dumps({name: text})]


TWISTED = {
    "json": [
        "", "nothing", "null", "[]", "7", '{"a": 1', '{"a": "x", "b": 2}',
        '```json\n{"a": "x", "b": 2}\n```', 'Sure: {"a": "x", "b": 2}. Bye {}',
        '{"b": 2, "a": "x", "c": 3}', '{"a": 5, "b": "2"}', '{"a": null, "b": true}',
        '{"a": ["x"], "b": 2.0}', '{"a": {}, "b": NaN}', '[{"a": "x", "b": 2}]',
        '{"a": "x", "b": 2, "b": 3}', "{'a': 'x', 'b': 2}", '{"a": "x"}',
        '{"a": "\\ud800", "b": 1}', '"{\\"a\\": \\"x\\"}"', '{"A": "x", "b": 1}',
    ],
    "xml": [
        "", "nothing", "<a>x</a>", "<a>x</a><b>2</b>", "<b>2</b>\n\n<a>\nx\n</a>",
        "Sure: <a>x</a> and <b> 2 </b>.", "<a>x</a><a>y</a><b>2</b>", "<a/><b/>",
        "<a>x & y</a><b>2</b>", "<a>x &amp; &lt;y</a><b>2</b>", "<a>x<b>2</b></a>",
        "<a>x <i>y</i> z</a><b>2</b>", "<a><![CDATA[<x>]]></a><b>2</b>",
        "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a><b>2</b>", "<a>&e;</a><b>2</b>",
        "<a>x</a><b>2</b></dspy_root><dspy_root>", "<A>x</A><b>2</b>",
        "<a>x</a><b>two</b>", "<a>x</a><b><item>2</item></b>", "<a>\x00</a><b>2</b>",
        '<entry key="a">x</entry><b>2</b>', "<a>x</a><!-- <b>1</b> --><b>2</b>",
        "```xml\n<a>x</a><b>2</b>\n```",
    ],
}  # fmt: skip
AB = dspy_signature((TICKET,), (Field(name="a", type=STR), Field(name="b", type=INT)))


def assert_same_reading(layout, signature, said):
    try:
        theirs = dspy_adapter(layout).parse(signature, said)
    except (AdapterParseError, RecursionError, ValueError):
        theirs = None
    try:
        ours = dict(READERS[layout](signature).read(said))
    except UnusableAnswerError:
        ours = None
    assert repr(ours) == repr(
        theirs and {n: theirs[n] for n in signature.output_fields}
    )


@WITHOUT_SECTIONS
@EACH
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_tricky_values_are_read_the_same(layout, field):
    signature = dspy_signature((TICKET,), (field,))
    for value in TRICKY:
        for said in said_in(layout, field.name, value):
            assert_same_reading(layout, signature, said)


@pytest.mark.parametrize(
    ("layout", "said"),
    [(name, said) for name, all_ in TWISTED.items() for said in all_],
)
def test_twisted_answers_are_read_the_same(layout, said):
    assert_same_reading(layout, AB, said)


PIECES = {
    "json": ["{", "}", "[", "]", '"', '"a"', '"b"', ":", ",", "5", "x", "null", "'",
             "```", "json", "\n", " ", '{"a": "x", "b": 2}', "\\"],
    "xml": ["<a>", "</a>", "<b>", "</b>", "<item>", "</item>", "<a/>", "5", "x", "&",
            "&amp;", "<", ">", '<entry key="k">', "</entry>", "\n", " ", "[", "{}"],
}  # fmt: skip
RECORD = dspy_signature(
    (TICKET,),
    (Field(name="a", type=MapOf(INT)), Field(name="b", type=Maybe(ListOf(STR)))),
)


@WITHOUT_SECTIONS
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_any_text_is_read_the_same_or_refused_by_both(layout):
    pieces = st.sampled_from(PIECES[layout]) | st.text(max_size=4)

    @given(st.lists(pieces, max_size=20).map("".join))
    @tried(100)
    def same(said):
        for signature in (AB, RECORD):
            assert_same_reading(layout, signature, said)

    same()


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ("json", "{" * 100_000),
        ("json", json.dumps({"list_str": "[" * 100_000})),
        ("json", "[" * 100_000 + "]" * 100_000),
        ("xml", f"<list_str>{'[' * 100_000}</list_str>"),
        ("xml", "<list_str>" + "<item>" * 5_000 + "</item>" * 5_000 + "</list_str>"),
    ],
)
def test_text_that_would_take_seconds_to_read_is_refused(layout, said):
    (field,) = (field for field in FIELDS if field.name == "list_str")
    with pytest.raises(UnusableAnswerError):
        READERS[layout](dspy_signature((TICKET,), (field,))).read(said)


def test_a_long_object_is_found_between_fences():
    long = {"a": "[" * 50_000, "b": 2}
    read = READERS["json"](AB).read(f"```json\n{json.dumps(long)}\n```")
    assert read == long


@WITHOUT_SECTIONS
async def test_an_answer_in_another_layout_fails_and_is_not_asked_again(layout):
    lm = Script("[[ ## out_str ## ]]\nhello", "never asked")
    stage = Case("predict", layout, FIELDS[0]).stage(lm)
    with pytest.raises(StageOutputError):
        await stage({"ticket": "t", "str": "s"}, Desk().run())
    assert lm.answers == ["never asked"]


# --- files ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["predict", "reason", "react", "program"])
def test_the_adapter_is_part_of_the_version(kind):
    versions = {Case(kind, n, FIELDS[0]).stage(Script()).version for n in ADAPTERS}
    assert len(versions) == len(ADAPTERS)


@pytest.mark.parametrize("kind", ["predict", "reason", "react", "program"])
def test_a_file_names_an_adapter_or_hears_which_there_are(kind):
    problems = Problems("p.yaml")
    read = STAGE_KINDS[kind].read
    assert "adapter" in STAGE_KINDS[kind].keys
    assert read(Section({"adapter": "xml"}, "stages.a", problems))["adapter"] == "xml"
    assert read(Section({}, "stages.a", problems))["adapter"] == "chat"
    before = len(problems.found)
    read(Section({"adapter": "jsno"}, "stages.a", problems))
    (found, *_) = problems.found[before:]
    assert "stages.a.adapter: 'jsno' is no adapter; did you mean json?" in found


DESK = """
pipeline: desk
version: 1
input: "mail: str"
output: "topic: str, tags: list[str], reply: str"
lms: {small: {model: local/demo}}
stages:
  sort: {predict: "mail -> topic: Literal['bug', 'bill']"}
  tag: {reason: "mail, topic -> tags: list[str]", adapter: json}
  reply: {predict: "mail, tags: list[str] -> reply", adapter: xml}
flow: [sort, tag, reply]
"""


async def test_the_demo_lm_answers_in_every_layout_and_explain_names_them(bench):
    shop = toolbox(Settings(), {}, NullRecorder(), SystemClock())
    pipeline = compile_text(DESK, "desk.yaml", shop)
    end = await bench.run(pipeline, inputs={"mail": "The app <crashes> & fails"})
    assert end.result.status == "OK", end.result.error
    assert end.result.outputs["topic"] == "bug"
    rows = explanation_of(pipeline).stages
    assert [row["adapter"] for row in rows] == ["chat", "json", "xml"]


# --- what the LM's server is asked for -----------------------------------------------

SCHEMA = {"name": "reply", "schema": {"type": "object"}, "strict": True}


@pytest.mark.parametrize(
    "wanted",
    [{"type": "json_object"}, {"type": "json_schema", "json_schema": SCHEMA}],
)
async def test_a_format_that_a_program_asks_for_reaches_the_server_as_it_is(wanted):
    lm = Script("anything")
    request = dspy.LM("a/b", engine=NoSyncEngine(), async_engine=None, cache=False)
    assert request.supported_params == {"response_format"}
    with dspy.context(lm=bound_lm(CallsEngine(lm, Desk().calls), "small")):
        await dspy.settings.lm.acall("Hello", response_format=wanted)
    assert lm.params == [{"response_format": wanted}]


async def test_the_format_is_part_of_what_the_journal_knows_a_call_by():
    lm, messages = Script(), ({"role": "user", "content": "hi"},)
    calls = [LMCall(messages=messages, params=params_for(name)) for name in ADAPTERS]
    chat, asks_json, xml = (digest_of(lm, call) for call in calls)
    assert chat == xml != asks_json
