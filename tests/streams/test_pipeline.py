"""Pipelines are compiled once: what a good file becomes, field by field."""

import subprocess
import sys
from pathlib import Path

import fastavro
import pytest

from streams import catalog
from streams.clock import ManualClock
from streams.config import Settings
from streams.durations import duration_s
from streams.errors import ConfigError
from streams.metrics import NullRecorder
from streams.pipeline import compile_file, compile_folder
from streams.session import Session, SessionPolicy
from streams.signatures.types import FLOAT, HISTORY, INT, STR, Choice

DESK = """
pipeline: desk
version: 3
input: "ticket: str 'what they wrote', tier: Literal['free', 'pro'] = 'free'"
output: "category, reply, ticket"
session: {ttl: 1h, history: 5}
lms:
  small: {model: scripted}
  spare: {model: unheard-of}
stages:
  classify:
    ask: "ticket -> category: Literal['billing', 'bug']"
    lm: small
    timeout: 8s
  draft:
    ask: "ticket, category, history, tone: str = 'warm' -> reply"
    instructions: "1"
    lm: small
    attempts: 5
  polite: {transform: "examples.support:soften", inline: true}
flow: [classify, draft, polite]
"""


@pytest.fixture
def desk(bench):
    return bench.compile(DESK)


def test_inputs_and_outputs_have_types(desk):
    assert (desk.name, desk.version) == ("desk", 3)
    assert [(f.name, f.type) for f in desk.inputs] == [
        ("ticket", STR),
        ("tier", Choice(("free", "pro"))),
    ]
    assert [(f.name, f.type) for f in desk.outputs] == [
        ("category", Choice(("billing", "bug"))),
        ("reply", STR),
        ("ticket", STR),
    ]


def test_stages_stand_in_the_order_of_the_flow_with_their_policies(desk):
    classify, draft, polite = desk.stages
    assert [s.name for s in desk.stages] == ["classify", "draft", "polite"]
    assert (classify.timeout_s, classify.retry.attempts) == (8.0, 3)
    assert (draft.timeout_s, draft.retry.attempts) == (60.0, 5)
    assert (polite.timeout_s, polite.retry.attempts, polite.lm) == (None, 1, None)
    assert draft.labels == {"pipeline": "desk", "stage": "draft"}


def test_a_stage_takes_what_was_made_before_it_and_its_own_defaults(desk):
    draft = desk.stages[1]
    assert draft.takes == ("ticket", "category")
    assert draft.constants == {"tone": "warm"}
    assert draft.reads_history
    assert [f.type for f in draft.spec.inputs] == [
        STR,
        Choice(("billing", "bug")),
        HISTORY,
        STR,
    ]


def test_a_function_without_signature_states_its_own(desk):
    polite = desk.stages[2]
    assert (polite.takes, [f.name for f in polite.outputs]) == (("reply",), ["reply"])
    assert polite.spec.target == "examples.support:soften"


def test_only_lms_that_stages_ask_are_opened_and_each_once(bench, desk):
    assert bench.opened == ["small"]
    assert desk.lms == (bench.lm,)


async def test_a_pipeline_is_available_while_all_its_lms_are(bench, desk):
    assert desk.available()
    bench.lm.up = False
    assert not desk.available()
    await desk.aclose()
    assert bench.lm.closed


def test_a_single_lm_need_not_be_named(bench):
    text = DESK.replace("    lm: small\n", "")
    text = text.replace("  spare: {model: unheard-of}\n", "")
    assert bench.compile(text).stages[0].lm is bench.lm


def test_the_session_policy_is_what_the_file_says(bench, desk):
    assert desk.uses_session
    assert desk.session == SessionPolicy(ttl_s=3_600.0, keep=5)
    forever = bench.compile(DESK.replace("{ttl: 1h, history: 5}", "{}")).session
    assert forever == SessionPolicy(ttl_s=None, keep=20)


def test_a_pipeline_without_session_uses_none(bench):
    text = DESK.replace("session: {ttl: 1h, history: 5}\n", "").replace("history, ", "")
    assert not bench.compile(text).uses_session


def test_an_expired_session_begins_anew():
    policy = SessionPolicy(ttl_s=10.0, keep=1)
    stored = Session(session_id="s", turns=4, updated_ms=0)
    assert policy.opened(stored, "s", now_ms=10_000) is stored
    assert policy.opened(stored, "s", now_ms=10_001) == Session(session_id="s")
    assert policy.opened(None, "s", now_ms=0) == Session(session_id="s")


def test_the_schemas_of_its_records_are_derived_from_it(desk):
    for schema in (
        desk.request_schema("penstock.desk"),
        desk.stage_result_schema("penstock.desk"),
        desk.result_schema("penstock.desk"),
    ):
        assert schema["namespace"] == "penstock.desk"
        fastavro.parse_schema(schema)


SAME = [
    ("timeout: 8s", "timeout: 9s"),
    ("attempts: 5", "attempts: 6"),
    ("# nothing", "# at all"),
]
OTHER = [
    ("version: 3", "version: 4"),
    ("pipeline: desk", "pipeline: tables"),
    ("'free', 'pro'", "'free', 'team'"),
    ("category, reply, ticket", "category, reply"),
    ("history: 5", "history: 6"),
    ("ttl: 1h", "ttl: 2h"),
    ("tone: str = 'warm'", "tone: str = 'cool'"),
    ("'billing', 'bug'", "'billing', 'other'"),
    ("ticket, category, history", "category, history"),
]


@pytest.mark.parametrize(("before", "after"), SAME)
def test_the_fingerprint_stays_where_outputs_do(bench, desk, before, after):
    text = DESK.replace(before, after)
    assert bench.compile(text).fingerprint == desk.fingerprint


@pytest.mark.parametrize(("before", "after"), OTHER)
def test_the_fingerprint_changes_with_what_outputs_depend_on(
    bench, desk, before, after
):
    text = DESK.replace(before, after)
    assert bench.compile(text).fingerprint != desk.fingerprint


def test_the_fingerprint_changes_with_the_lm(bench, desk):
    bench.lm.fingerprint = "another"
    assert bench.compile(DESK).fingerprint != desk.fingerprint


def test_whole_numbers_may_flow_where_floats_are_wanted(bench):
    text = """
pipeline: sums
version: 1
input: "n: int"
output: "total: float"
lms: {small: {model: scripted}}
stages: {add: {ask: "n: float -> total: int"}}
flow: [add]
"""
    add = bench.compile(text).stages[0]
    assert ([f.type for f in add.spec.inputs], add.outputs[0].type) == ([FLOAT], INT)


def test_a_folder_is_all_its_files(bench, tmp_path):
    (tmp_path / "b.yaml").write_text(DESK)
    (tmp_path / "a.yml").write_text(DESK.replace("pipeline: desk", "pipeline: other"))
    (tmp_path / "notes.txt").write_text("not a pipeline")
    assert list(compile_folder(tmp_path, bench.toolbox)) == ["other", "desk"]


def test_a_folder_reports_the_problems_of_all_its_files(bench, tmp_path):
    (tmp_path / "a.yaml").write_text(DESK)
    (tmp_path / "b.yaml").write_text(DESK)
    (tmp_path / "c.yaml").write_text(DESK.replace("version: 3", "version: 0"))
    (tmp_path / "d.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as caught:
        compile_folder(tmp_path, bench.toolbox)
    first, second, third = caught.value.problems
    assert (
        first == f"{tmp_path}/b.yaml: pipeline: {tmp_path}/a.yaml has the name already"
    )
    assert second.startswith(f"{tmp_path}/c.yaml: version: must be a whole number")
    assert third.startswith(f"{tmp_path}/d.yaml: cannot be read: ")


def test_a_folder_without_pipelines_is_a_mistake(bench, tmp_path):
    with pytest.raises(ConfigError, match="there is no pipeline file"):
        compile_folder(tmp_path, bench.toolbox)


def test_a_missing_file_is_named(bench, tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        compile_file(tmp_path / "nowhere.yaml", bench.toolbox)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("250ms", 0.25),
        ("8s", 8.0),
        ("1.5m", 90.0),
        (" 2 h ", 7_200.0),
        ("7d", 604_800.0),
        ("0s", None),
        ("8", None),
        ("-8s", None),
        ("8 sec", None),
        ("", None),
        (8, None),
        (None, None),
    ],
)
def test_durations_have_a_number_and_a_unit(written, seconds):
    assert duration_s(written) == seconds


def test_the_demo_pipeline_compiles_from_the_catalog():
    tools = catalog.toolbox(Settings(), {}, NullRecorder(), ManualClock())
    support = compile_folder(Path("pipelines"), tools)["support"]
    assert [s.name for s in support.stages] == ["classify", "draft", "polite"]
    assert [f.name for f in support.stages[1].outputs] == ["reasoning", "reply"]
    assert support.stages[1].reads_history


def test_kinds_and_lms_of_the_catalog_are_those_of_the_house():
    assert sorted(catalog.STAGE_KINDS) == [
        "http",
        "metric",
        "predict",
        "program",
        "react",
        "reason",
        "template",
        "transform",
        "validate",
    ]
    assert "openai" in catalog.LMS


NO_DSPY = """
import sys
from streams import catalog
from streams.clock import ManualClock
from streams.config import Settings
from streams.metrics import NullRecorder
from streams.pipeline import compile_text
from streams.running.run import run
tools = catalog.toolbox(Settings(), {}, NullRecorder(), ManualClock())
compile_text('''
pipeline: soft
version: 1
input: "reply: str"
output: "reply"
stages: {polite: {transform: "examples.support:soften"}}
flow: [polite]
''', "soft.yaml", tools)
heavy = {"dspy", "litellm", "faust", "aiokafka", "prometheus_client"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_pipeline_that_asks_no_lm_never_imports_dspy():
    said = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", NO_DSPY], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"
