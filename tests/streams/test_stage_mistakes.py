"""All mistakes of one stage are told at once, and nothing that follows from them."""

import pytest

from streams.catalog import toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.errors import ConfigError
from streams.language.problems import Problem
from streams.metrics import NullRecorder
from streams.pipeline import compile_text

FILE = """\
pipeline: desk
version: 1
input: "mail: str, n: int"
output: "{output}"
lms: {{small: {{model: local/demo}}}}
tools: {{find: {{call: "examples.assistant:find_order"}}}}
stages:
  s: {stage}
flow: [s]
"""


def problems(stage, output="y: str"):
    """Return what is wrong with a file that has *stage*, without the name of it."""
    settings = Settings(code_modules="examples", http_hosts="api.example.org")
    tools = toolbox(settings, {}, NullRecorder(), SystemClock())
    with pytest.raises(ConfigError) as caught:
        compile_text(FILE.format(stage=stage, output=output), "desk.yaml", tools)
    assert all(
        isinstance(each, Problem) and each.line for each in caught.value.problems
    )
    return sorted(f"{each.path}: {each.sentence}" for each in caught.value.problems)


REWARD = "examples.support:nothing"
CASES = {
    "a wrong key, a wrong value and a wrong signature": (
        '{predict: "mail -> y: strng", atempts: 3, timeout: 8}',
        [
            "stages.s.atempts: is unknown",
            "stages.s.predict: unknown type strng",
            "stages.s.timeout: must be a duration",
        ],
    ),
    "an unknown LM hides no field that nobody makes, and no reward": (
        f'{{predict: "mial -> y", lm: big, best_of: {{n: 2, reward: "{REWARD}"}}}}',
        [
            "stages.s.best_of.reward: examples.support has no function nothing",
            "stages.s.best_of.threshold: is missing",
            "stages.s.lm: no LM is called big",
            "stages.s.predict: nobody before makes mial",
        ],
    ),
    "reason: its signature and its reward": (
        (
            f'{{reason: "mail -> y: foo", refine: {{n: 2, reward: "{REWARD}", '
            "threshold: 1}, adapter: jsn}"
        ),
        [
            "stages.s.adapter: 'jsn' is no adapter",
            "stages.s.reason: unknown type foo",
            "stages.s.refine.reward: examples.support has no function nothing",
        ],
    ),
    "react: tools, a number, a key, and a name that it uses itself": (
        '{react: "mail, trajectory: str -> y", tools: [fnd], max_calls: 0, lms: x}',
        [
            "stages.s.lms: is unknown; did you mean lm?",
            "stages.s.max_calls: must be a whole number",
            "stages.s.react: nobody before makes trajectory",
            "stages.s.react: trajectory is a name that react uses itself",
            "stages.s.tools: no tool is called fnd; did you mean find?",
        ],
    ),
    "react: tools beside a signature that cannot be read": (
        '{react: "mail -> y: foo", tools: [fnd]}',
        [
            "stages.s.react: unknown type foo",
            "stages.s.tools: no tool is called fnd",
        ],
    ),
    "program: its state beside its signature": (
        '{program: "mail -> y: foo", state: ../x.json, module: predcit}',
        [
            "stages.s.module: must be predict, reason or react",
            "stages.s.program: unknown type foo",
            "stages.s.state: '../x.json' is no path",
        ],
    ),
    "program: its class and its threads": (
        '{program: "mail -> y", class: "os:system", threads: 99}',
        [
            "stages.s.class: module os is not allowed",
            "stages.s.threads: must be a whole number",
        ],
    ),
    "program: threads that cannot be read are not missing": (
        '{program: "mail -> y", class: "examples.rag:Nothing", threads: 99}',
        [
            "stages.s.class: examples.rag has no function Nothing",
            "stages.s.threads: must be a whole number",
        ],
    ),
    "transform: its target, its signature and a key": (
        '{transform: "os:system", signature: "mail -> y: foo", lm: small}',
        [
            "stages.s.lm: is unknown",
            "stages.s.signature: unknown type foo",
            "stages.s.transform: module os is not allowed",
        ],
    ),
    "transform: no target, and a signature that cannot be read": (
        '{transform: 3, signature: "mail -> y: foo", inline: 4}',
        [
            "stages.s.inline: must be true or false",
            "stages.s.signature: unknown type foo",
            "stages.s.transform: must be text, and not empty",
        ],
    ),
    "transform: no target, beside a signature and a wrong key": (
        '{transform: "", signature: "mail -> y: str", inlin: true}',
        [
            "stages.s.inlin: is unknown; did you mean inline?",
            "stages.s.transform: must be text, and not empty",
        ],
    ),
    "template: one text beside another, a key and a field that nobody makes": (
        '{template: "mail, x: str -> y, z", text: {y: "{{ mial }}", z: 3}, lm: small}',
        [
            "stages.s.lm: is unknown",
            "stages.s.template: nobody before makes x",
            "stages.s.text.y: no input is called mial",
            "stages.s.text.z: must be text",
        ],
    ),
    "template: its text beside its signature": (
        '{template: "mail -> y: foo", text: "{% include \'x\' %}"}',
        [
            "stages.s.template: unknown type foo",
            "stages.s.text: a template includes nothing",
        ],
    ),
    "http: its method, its address and a template": (
        (
            '{http: "mail -> y", url: "https://other.example.org/{{ mail }}", '
            'method: PUT, headers: {A: "{{ mail }}", B: 3}, tmeout: 3s}'
        ),
        [
            "stages.s.headers.A: is sent as it is",
            "stages.s.headers.B: must be text",
            "stages.s.method: is none that is known",
            "stages.s.tmeout: is unknown; did you mean timeout?",
            "stages.s.url: other.example.org is not allowed",
            "stages.s.url: what is written here must end in `| urlencode`",
        ],
    ),
    "http: a template that cannot be read beside a signature that cannot": (
        (
            '{http: "mail -> y: foo", url: "https://api.example.org/{{", method: POST, '
            "body: \"{% include 'x' %}\"}"
        ),
        [
            "stages.s.body: a template includes nothing",
            "stages.s.http: unknown type foo",
            "stages.s.url: ",
        ],
    ),
    "validate: its rules, its outputs and a key": (
        (
            '{validate: "mail, n -> y: str", rules: {a: "n > 1.0", b: 3, c: "size("}, '
            "faill: true}"
        ),
        [
            "stages.s.faill: is unknown; did you mean fail?",
            "stages.s.rules.a: found no matching overload",
            "stages.s.rules.b: must be text",
            "stages.s.rules.c: mismatched input",
            "stages.s.validate: y is str: a validate stage leaves",
        ],
    ),
    "validate: a rule that is no CEL beside a signature that cannot be read": (
        '{validate: "mail, n: ingt -> y: bool", rules: {a: "n > 1.0", b: "size("}}',
        [
            "stages.s.rules.b: mismatched input",
            "stages.s.validate: unknown type ingt",
        ],
    ),
    "metric: its kind, its threshold and its outputs": (
        '{metric: "mail, n -> y: str", by: f11, threshold: 2}',
        [
            "stages.s.by: no metric is called f11",
            "stages.s.metric: y is str: a metric leaves",
            "stages.s.threshold: must be a number from 0 to 1",
        ],
    ),
    "metric: a threshold that cannot be read is not missing": (
        '{metric: "mail, mail2: str -> y: bool", by: f1, threshold: 2, at: x}',
        [
            "stages.s.at: is unknown",
            "stages.s.metric: nobody before makes mail2",
            "stages.s.threshold: must be a number from 0 to 1",
        ],
    ),
    "no signature: its other keys all the same": (
        '{predict: "", lm: big, attempts: 0}',
        [
            "stages.s.attempts: must be a whole number",
            "stages.s.lm: no LM is called big",
            "stages.s.predict: must be text, and not empty",
        ],
    ),
    "no kind: what means the same in all of them": (
        '{pedict: "mail -> y", timeout: 8, on_failure: maybe}',
        [
            "stages.s.on_failure: must be fail, skip",
            "stages.s.timeout: must be a duration",
            "stages.s: says no kind of stage; did you mean predict?",
        ],
    ),
    "an LM that is no text is not missing": (
        '{predict: "mail -> y", lm: [small], attempts: 0}',
        [
            "stages.s.attempts: must be a whole number",
            "stages.s.lm: must be text, and not empty",
        ],
    ),
    "a default of an output that cannot be read is no unknown one": (
        '{predict: "mail -> y: foo", on_failure: {default: {y: ""}}}',
        ["stages.s.predict: unknown type foo"],
    ),
}


@pytest.mark.parametrize(("stage", "wanted"), CASES.values(), ids=CASES)
def test_all_mistakes_of_a_stage_are_told_at_once(stage, wanted):
    found = problems(stage, "y: bool" if "y: bool" in stage else "y: str")
    assert len(found) == len(wanted), found
    for problem, begun in zip(found, wanted, strict=True):
        assert problem.startswith(begun)


def test_a_stage_of_no_kind_still_says_who_stands_in_for_it():
    text = FILE.format(
        output="y: str", stage='{pedict: "mail -> y", on_failure: {stage: t}}'
    )
    text = text.replace("flow:", '  t: {predict: "mail -> y"}\nflow:')
    tools = toolbox(Settings(), {}, NullRecorder(), SystemClock())
    with pytest.raises(ConfigError) as caught:
        compile_text(text, "desk.yaml", tools)
    assert "stages.s" in {each.path for each in caught.value.problems}
    assert "stages.t" not in {each.path for each in caught.value.problems}


PLACES = """\
pipeline: desk
version: 1
input: "mail: str, n: int"
output: "y: str"
lms: {small: {model: local/demo}}
tools: {find: {call: "os:find_order"}, look: {}}
stages:
  s: {react: "mail -> y", tools: [find, look, nix]}
  u: {validate: "mail, n -> ok: bool", rules: {a: "n > 1.0"}, on_failure: {stage: v}}
  v: {template: "mail -> ok: bool", text: "{{ mial }}"}
  w: {predict: "mail -> a: foo", on_failure: {stage: x}}
  x: {predict: "mail -> a: foo", lm: big, atempts: 3}
flow: [s, w]
"""


def test_a_stage_without_a_place_and_one_that_stands_in_are_looked_at_too():
    settings = Settings(code_modules="examples")
    tools = toolbox(settings, {}, NullRecorder(), SystemClock())
    with pytest.raises(ConfigError) as caught:
        compile_text(PLACES, "desk.yaml", tools)
    assert sorted(each.path for each in caught.value.problems) == [
        # Tools that cannot be had are no unknown ones.
        "stages.s.tools",
        "stages.u",
        "stages.u.rules.a",
        "stages.v.text",
        "stages.w.predict",
        "stages.x.atempts",
        "stages.x.lm",
        "stages.x.predict",
        "tools.find.call",
        "tools.look.call",
    ]


def test_a_field_whose_type_is_not_known_has_no_complaints_of_conditions():
    text = FILE.format(output="ok: bool", stage='{predict: "mail -> score: flot"}')
    rule = '  t: {validate: "score -> ok: bool", rules: {high: "score > 0.5"}}\n'
    text = text.replace("flow: [s]", f"{rule}flow: [s, t]")
    tools = toolbox(Settings(), {}, NullRecorder(), SystemClock())
    with pytest.raises(ConfigError) as caught:
        compile_text(text, "desk.yaml", tools)
    assert [each.path for each in caught.value.problems] == ["stages.s.predict"]


LMS = [
    ("{model: nowhere/x}", "lms.other.model: 'nowhere/x' is none of"),
    ("{model: local/demo, limit: none}", "lms.other.limit: a whole number"),
    ("{model: hosted_vllm/x}", "lms.other.api_base: hosted_vllm/ models need one"),
    (
        "{model: openai/x, api_base: 'ftp://a'}",
        "lms.other.api_base: 'ftp://a' is not an http(s) address",
    ),
]


def with_lm(options):
    text = FILE.format(output="y: str", stage='{predict: "mail -> y", lm: small}')
    return text.replace("lms: {", f"lms: {{other: {options}, ")


@pytest.mark.parametrize(("options", "wanted"), LMS)
def test_an_lm_that_no_stage_asks_is_checked_too(options, wanted):
    tools = toolbox(Settings(), {}, NullRecorder(), SystemClock())
    with pytest.raises(ConfigError) as caught:
        compile_text(with_lm(options), "desk.yaml", tools)
    (problem,) = caught.value.problems
    assert problem.removeprefix("desk.yaml: ").startswith(wanted)
    assert problem.line == 5


def test_an_lm_that_no_stage_asks_needs_no_key_and_is_not_opened():
    tools = toolbox(Settings(), {}, NullRecorder(), SystemClock())
    pipeline = compile_text(with_lm("{model: openai/x}"), "desk.yaml", tools)
    assert [lm.name for lm in pipeline.lms] == ["small"]


def test_lms_that_cannot_be_read_are_not_missing_in_each_stage():
    text = FILE.format(output="y: str", stage='{predict: "mail -> y", lm: small}')
    tools = toolbox(
        Settings(code_modules="examples"), {}, NullRecorder(), SystemClock()
    )
    wrong = text.replace("{small: {model: local/demo}}", "[small]")
    with pytest.raises(ConfigError) as caught:
        compile_text(wrong, "desk.yaml", tools)
    assert [each.path for each in caught.value.problems] == ["lms"]
