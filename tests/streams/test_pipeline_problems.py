"""A pipeline file with five mistakes reports five mistakes, each with its place."""

import pytest

GOOD = """
pipeline: desk
version: 1
input: "ticket: str"
output: "reply: str"
session: {ttl: 1h, history: 20}
lms:
  small: {model: scripted}
stages:
  classify: {ask: "ticket -> category", lm: small}
  draft: {ask: "ticket, category -> reply", lm: small}
flow: [classify, draft]
"""


def test_the_file_that_the_mistakes_are_made_in_is_good(bench):
    assert bench.compile(GOOD).name == "desk"


def test_five_mistakes_are_five_problems(bench):
    text = """
pipeline: desk
version: one
input: "ticket: strng"
output: "reply: str"
lms:
  small: {model: scripted}
stages:
  classify: {ask: "ticket -> category", lm: smal, timeout: 8}
  draft: {ask: "ticket, category -> reply", lm: small, atempts: 3}
flow: [classify, draft]
"""
    assert bench.problems(text) == [
        "stages.classify.timeout: must be a duration above 0: 250ms, 8s, 1m, 1h or 7d",
        "stages.draft.atempts: is unknown; did you mean attempts?",
        "version: must be a whole number from 1 to 2147483647",
        "input: column 9: unknown type strng; did you mean str?",
        "stages.classify.lm: no LM is called smal; did you mean small?",
    ]


CASES = [
    # The whole file.
    ("replace", "- a\n- b", ["must be a mapping that begins with `pipeline:`"]),
    ("replace", "", ["must be a mapping that begins with `pipeline:`"]),
    ("replace", "{", ["no YAML: while parsing a flow node"]),
    ("replace", "a: b\n---\nc: d", ["no YAML: expected a single document"]),
    ("replace", "a: !!python/name:os.system x", ["no YAML: could not determine a con"]),
    # Keys.
    ("version: 1\n", "", ["version: is missing"]),
    ("version: 1\n", "version: 1\nverson: 2\n", ["verson: is unknown; did you mean v"]),
    (
        "version: 1\n",
        "version: 1\nversion: 2\n",
        ["version: is here twice, again in li"],
    ),
    ("version: 1\n", "version: 1\n[1, 2]: x\n", ["a key must be text"]),
    ("version: 1", "version: true", ["version: must be a whole number"]),
    ("version: 1", "version: '1'", ["version: must be a whole number"]),
    # Names.
    ("pipeline: desk\n", "", ["pipeline: is missing"]),
    ("pipeline: desk", "pipeline: 3", ["pipeline: must be text, and not empty"]),
    ("pipeline: desk", "pipeline: my-desk", ["pipeline: 'my-desk' is no name"]),
    ("pipeline: desk", "pipeline: Desk", ["pipeline: 'Desk' is not lower case"]),
    ("pipeline: desk", "pipeline: sessions", ["pipeline: 'sessions' is the name of"]),
    # Input and output.
    ('input: "ticket: str"\n', "", ["input: is missing"]),
    ('input: "ticket: str"', "input: [ticket]", ["input: must be text, and not empty"]),
    ("ticket: str", "ticket: str, history", ["input: column 14: history is made by"]),
    ('output: "reply: str"', 'output: " "', ["output: must be text, and not empty"]),
    (
        "reply: str",
        "reply: str, mood",
        ["output: nobody before makes mood; known: category, reply, ticket"],
    ),
    (
        "reply: str",
        "reply: int",
        ["output: reply is int here, but str from stage draft"],
    ),
    # Session.
    ("{ttl: 1h, history: 20}", "yes", ["session: must be a mapping of names"]),
    ("ttl: 1h", "ttl: 1 hour", ["session.ttl: must be a duration above 0"]),
    ("ttl: 1h", "tll: 1h", ["session.tll: is unknown; did you mean ttl?"]),
    ("history: 20", "history: -1", ["session.history: must be a whole number from 0"]),
    # LMs.
    ("{model: scripted}", "scripted", ["lms.small: must be a mapping"]),
    ("{model: scripted}", "{}", ["lms.small.model: is missing"]),
    ("{model: scripted}", "{model: other}", ["lms.small.model: no such model"]),
    (
        "  small: {",
        "  sm-all: {",
        ["lms.sm-all: 'sm-all' is no name", "stages", "stages"],
    ),
    (
        "small}\n  draft",
        "[small]}\n  draft",
        ["stages.classify.lm: must be text, and not empty"],
    ),
    # Stages.
    (", lm: small}\n  draft", ", lm: 's'}\n  draft", ["stages.classify.lm: no LM is"]),
    ('{ask: "ticket -> category", lm: small}', "ask", ["stages.classify: must be a m"]),
    ("classify: {ask:", "classify: {aks:", ["stages.classify: says no kind of stage;"]),
    (
        "classify: {ask:",
        "classify: {react:",
        ["stages.classify: says no kind of stage; known: ask, tr"],
    ),
    (
        "classify: {ask:",
        "classify: {transform: 'a:b', ask:",
        ["stages.classify: is of one kind only, not transform and ask"],
    ),
    ("ticket -> category", "", ["stages.classify.ask: must be text"]),
    (
        "ticket -> category",
        "ticket",
        ["stages.classify.ask: column 7: a signature needs"],
    ),
    (
        "small}\n  draft",
        "small, attempts: 0}\n  draft",
        ["stages.classify.attempts: must"],
    ),
    (
        "small}\n  draft",
        "small, stream: [x]}\n  draft",
        ["stages.classify.stream: is not"],
    ),
    (
        "small}\n  draft",
        "small, inline: true}\n  draft",
        ["stages.classify.inline: is unk"],
    ),
    (
        "  classify: {",
        "  class: {",
        ["stages.class: 'class' is a word of", "flow.1: no"],
    ),
    (
        "  classify: {",
        "  clasify: {",
        ["flow.1: no stage is called", "stages.clasify: is"],
    ),
    # What flows.
    (
        "ticket, category ->",
        "ticket, mood ->",
        ["stages.draft.ask: nobody before makes"],
    ),
    (
        "ticket, category ->",
        "tickets ->",
        ["stages.draft.ask: nobody before makes ticke"],
    ),
    (
        "-> reply",
        "-> reply: int",
        ["output: reply is str here, but int from stage draf"],
    ),
    (
        "ticket, category ->",
        "ticket: int, category ->",
        ["stages.draft.ask: ticket is int here, but str from the input of the"],
    ),
    (
        "category -> reply",
        "category -> reply, ticket: int",
        ["stages.draft.ask: makes ticket int, but the input of the pipeline m"],
    ),
    (
        "[classify, draft]",
        "[draft, classify]",
        ["stages.draft.ask: nobody before makes"],
    ),
    (
        "[classify, draft]",
        "[classify]",
        ["stages.draft: is not in the flow", "output: "],
    ),
    (
        "[classify, draft]",
        "[classify, classify, draft]",
        ["flow.2: classify runs twice"],
    ),
    ("[classify, draft]", "[classify, 3]", ["flow.2: must be the name of a stage"]),
    ("[classify, draft]", "draft", ["flow: must be a list of stages, in the order"]),
    ("[classify, draft]", "[]", ["flow: must be a list of stages, in the order"]),
    (
        "[classify, draft]",
        "[classify, {parallel: {a: [draft]}}]",
        ["flow.2.parallel: needs two branches at least, each with a name"],
    ),
    (
        "[classify, draft]",
        "[classify, {}]",
        ["flow.2: says no kind of item; known: fallback, loop, map"],
    ),
    (
        "[classify, draft]",
        "[classify, draft, send]",
        ["flow.3: no stage is called send"],
    ),
]


@pytest.mark.parametrize(("before", "after", "sentences"), CASES)
def test_each_mistake_is_reported_once_at_its_place(bench, before, after, sentences):
    text = after if before == "replace" else GOOD.replace(before, after)
    assert text != GOOD
    found = bench.problems(text)
    assert len(found) == len(sentences), found
    for problem, sentence in zip(found, sentences, strict=True):
        assert problem.startswith(sentence)


def test_missing_parts_are_all_named(bench):
    assert bench.problems("pipeline: desk") == [
        "flow: must be a list of stages, in the order in which they run",
        "stages: is missing",
        "version: is missing",
        "input: is missing",
        "output: is missing",
    ]


def test_history_needs_a_session(bench):
    text = GOOD.replace("ticket, category ->", "ticket, history ->")
    assert bench.compile(text).stages[1].reads_history
    text = text.replace("session: {ttl: 1h, history: 20}\n", "")
    assert bench.problems(text) == [
        "stages.draft.ask: reads history, but the file has no `session:`"
    ]


def test_a_stage_must_say_its_lm_where_there_are_several(bench):
    text = GOOD.replace("small: {", "large: {model: scripted}\n  small: {")
    text = text.replace('reply", lm: small', 'reply"')
    assert bench.problems(text) == ["stages.draft.lm: is missing; known: large, small"]


def test_a_stage_that_asks_needs_an_lm(bench):
    text = GOOD.replace("lms:\n  small: {model: scripted}\n", "")
    assert bench.problems(text.replace(", lm: small", "")) == [
        "stages.classify.lm: is missing; there are none",
        "stages.draft.lm: is missing; there are none",
    ]


def test_a_yaml_cycle_is_a_mistake(bench):
    text = GOOD.replace("[classify, draft]", "&a [*a]")
    assert bench.problems(text) == [
        "flow.1: contains itself",
        (
            "flow.1: must be the name of a stage, or a mapping of parallel, when, map, "
            "loop, fallback, pipeline"
        ),
    ]


TRANSFORM = """
pipeline: desk
version: 1
input: "reply: str"
output: "reply: str"
stages:
  polite: {transform: "examples.support:soften"}
flow: [polite]
"""

TRANSFORMS = [
    (
        "examples.support:soften",
        "os:system",
        ["stages.polite.transform: module os is not"],
    ),
    (
        "support:soften",
        "support:harden",
        ["stages.polite.transform: examples.support has"],
    ),
    ('soften"', 'soften", inline: maybe', ["stages.polite.inline: must be true or"]),
    ('soften"', 'soften", lm: demo', ["stages.polite.lm: is unknown; known:"]),
    (
        'soften"',
        'soften", inline: true, timeout: 1s',
        ["stages.polite.timeout: nothing can interrupt an inline function"],
    ),
    (
        'soften"',
        "soften\", signature: 'reply -> reply, b b'",
        ["stages.polite.signature: column 19: expected ',' or '->' before 'b'"],
    ),
    (
        'soften"',
        'soften", signature: \'reply, tone: str = "x" -> reply\'',
        ["stages.polite.transform: examples.support:soften cannot be called wi"],
    ),
    (
        'soften"',
        "soften\", signature: 'history -> reply'",
        ["stages.polite.transform: reads history, but the file has no `session:`"],
    ),
    (
        'soften"}',
        "soften\", signature: 'history -> reply'}\nsession: {}",
        ["stages.polite.transform: history is for stages that ask an LM"],
    ),
]


@pytest.mark.parametrize(("before", "after", "sentences"), TRANSFORMS)
def test_mistakes_about_user_code_are_reported_too(bench, before, after, sentences):
    found = bench.problems(TRANSFORM.replace(before, after))
    assert len(found) == len(sentences), found
    for problem, sentence in zip(found, sentences, strict=True):
        assert problem.startswith(sentence)


def test_a_transform_may_have_a_timeout_and_a_signature(bench):
    text = TRANSFORM.replace(
        'soften"', "soften\", timeout: 1s, signature: 'reply -> reply'"
    )
    assert bench.compile(text).stages[0].timeout_s == 1.0
