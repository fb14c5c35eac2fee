"""Pipelines in Python are what files are: the same values, both ways."""

from textwrap import dedent
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.builder import (
    Steps,
    call,
    fallback,
    loop,
    map_over,
    parallel,
    pipeline,
    stage,
    when,
)
from streams.catalog import STAGE_KINDS
from streams.errors import ConfigError
from streams.language.pipeline_file import read_pipeline
from streams.language.problems import Problems
from streams.language.yaml_text import plain_values
from streams.pipeline import compile_pipeline, compile_text
from streams.pipeline_yaml import plain_flow, to_yaml

DESK = """
pipeline: desk
version: 2
input: "ticket: str, parts: list[str, ..5] = []"
output: "reply"
session: {ttl: 1h, history: 5}
lms: {small: {model: scripted}}
tools: {look: {call: "m:look", timeout: 250ms}}
stages:
  sort: {ask: "ticket -> topic", lm: small, timeout: 8s}
  bill: {ask: "ticket, topic -> reply", on_failure: {stage: spare}}
  spare: {ask: "ticket -> reply", attempts: 1}
  other: {ask: "ticket -> reply", on_failure: {default: {reply: "none"}}}
  sum_up: {ask: "part -> summary"}
  polite: {ask: "reply -> reply"}
  short: {ask: "reply -> reply"}
  facts: {ask: "ticket -> fact"}
  tone: {ask: "ticket -> mood"}
  quick: {ask: "ticket -> word"}
  slow: {ask: "ticket -> word"}
flow:
  - sort
  - {when: "topic == 'bill'", then: [bill], else: [other]}
  - {map: [sum_up], over: parts, each: part, collect: {summary: summaries}, width: 3}
  - {loop: [polite, short], until: "size(reply) < 9", max_iterations: 2}
  - {parallel: {a: [facts], b: [tone]}}
  - {fallback: [[quick], [slow]]}
  - {pipeline: enrich@2, inputs: {mail: ticket}, outputs: {notes: remarks}}
  - {pipeline: enrich@2, as: again, inputs: {mail: reply}}
"""


def read(text, kinds):
    problems = Problems("desk")
    file = read_pipeline(plain_values(text, problems), kinds, problems)
    assert problems.found == []
    return file


def desk(kinds):
    """Return the pipeline of DESK, built."""
    spare = stage("spare", ask="ticket -> reply", attempts=1)
    none = {"default": {"reply": "none"}}
    flow = (
        stage("sort", ask="ticket -> topic", lm="small", timeout="8s")
        >> when(
            "topic == 'bill'",
            then=stage("bill", ask="ticket, topic -> reply", on_failure=spare),
            otherwise=stage("other", ask="ticket -> reply", on_failure=none),
        )
        >> map_over(
            "parts",
            each="part",
            body=stage("sum_up", ask="part -> summary"),
            collect={"summary": "summaries"},
            width=3,
        )
        >> loop(
            stage("polite", ask="reply -> reply")
            >> stage("short", ask="reply -> reply"),
            until="size(reply) < 9",
            max_iterations=2,
        )
        >> parallel(
            a=stage("facts", ask="ticket -> fact"),
            b=stage("tone", ask="ticket -> mood"),
        )
        >> fallback(
            stage("quick", ask="ticket -> word"), stage("slow", ask="ticket -> word")
        )
        >> call("enrich@2", inputs={"mail": "ticket"}, outputs={"notes": "remarks"})
        >> call("enrich@2", as_="again", inputs={"mail": "reply"})
    )
    return pipeline(
        "desk",
        version=2,
        input="ticket: str, parts: list[str, ..5] = []",
        output="reply",
        session={"ttl": "1h", "history": 5},
        lms={"small": {"model": "scripted"}},
        tools={"look": {"call": "m:look", "timeout": "250ms"}},
        flow=flow,
        kinds=kinds,
    )


def test_what_is_built_is_what_the_file_says(bench):
    kinds = bench.toolbox.kinds
    assert desk(kinds) == read(DESK, kinds)


def test_a_file_made_of_it_reads_as_it(bench):
    kinds = bench.toolbox.kinds
    text = to_yaml(desk(kinds))
    assert read(text, kinds) == desk(kinds)
    assert to_yaml(read(text, kinds)) == text


SMALL = """
pipeline: desk
version: 1
input: "ticket"
output: "reply"
lms: {small: {model: scripted}}
stages: {draft: {ask: "ticket -> reply"}}
flow: [draft]
"""


async def test_it_compiles_to_the_same_pipeline(bench):
    built = pipeline(
        "desk",
        version=1,
        input="ticket",
        output="reply",
        lms={"small": {"model": "scripted"}},
        flow=stage("draft", ask="ticket -> reply"),
        kinds=bench.toolbox.kinds,
    )
    compiled = compile_pipeline(built, bench.toolbox, Problems("desk"))
    assert compiled.fingerprint == compile_text(SMALL, "d", bench.toolbox).fingerprint
    bench.lm.say("draft", {"reply": "hello"})
    end = await bench.run(compiled)
    assert (end.result.status, end.result.outputs) == ("OK", {"reply": "hello"})


def test_problems_of_what_is_built_have_the_places_of_a_file():
    with pytest.raises(ConfigError) as caught:
        pipeline("desk", flow=stage("a", predict="x -> y", atempts=3) >> stage("a"))
    assert [p.removeprefix("desk: ") for p in caught.value.problems] == [
        "flow.2: a runs twice",
        "stages.a.atempts: is unknown; did you mean attempts?",
        "version: is missing",
        "input: is missing",
        "output: is missing",
    ]


def test_a_stage_that_is_declared_twice_must_be_the_same():
    first = stage("a", predict="x -> y")
    assert (first >> first).stages == first.stages
    with pytest.raises(ConfigError, match=r"stages\.a: is declared twice"):
        first >> stage("a", predict="x -> z")


def test_the_kinds_are_those_of_penstock_where_nobody_says_others():
    built = pipeline(
        "shout",
        version=1,
        input="text",
        output="loud",
        flow=stage("shout", template="text -> loud", text="{{ text }}!"),
    )
    text = dedent("""
        pipeline: shout
        version: 1
        input: text
        output: loud
        stages:
          shout: {template: "text -> loud", text: "{{ text }}!"}
        flow: [shout]
    """)
    assert built == read(text, STAGE_KINDS)


# Any flow.

NAMES = st.integers(0, 10**9).map(lambda number: f"n{number}")
CONDITIONS = st.sampled_from(["a == 'x'", "size(b) > 3 && c", "d || !e", 'f == "ü: #"'])


@st.composite
def one_stage(draw):
    keys = draw(
        st.fixed_dictionaries(
            {"predict": st.sampled_from(["x -> y", "x: str['[a-z]: #'] -> y = 'no'"])},
            optional={
                "lm": st.just("small"),
                "timeout": st.sampled_from(["8s", "250ms", "1.5m"]),
                "attempts": st.integers(1, 20),
                "instructions": st.text("ab: #\n\"'é", min_size=1).filter(str.strip),
            },
        )
    )
    policy = draw(st.sampled_from(["fail", "skip", {"default": {"y": "x: 1"}}]))
    # Equal stages have one name, and others have another.
    name = f"n{crc32(repr((keys, policy)).encode())}"
    return stage(name, on_failure=policy, **keys)


def chained(parts):
    first, *others = parts
    for part in others:
        first = first >> part
    return first


def nested(inner):
    steps = st.lists(inner, min_size=1, max_size=3).map(chained)
    some = st.lists(steps, min_size=2, max_size=3)
    return st.one_of(
        steps,
        st.builds(when, CONDITIONS, then=steps, otherwise=st.none() | steps),
        st.builds(
            map_over,
            NAMES,
            each=NAMES,
            body=steps,
            collect=st.dictionaries(NAMES, NAMES, min_size=1, max_size=2),
            width=st.none() | st.integers(1, 256),
        ),
        st.builds(loop, steps, max_iterations=st.integers(1, 1_000), until=CONDITIONS),
        st.builds(loop, steps, max_iterations=st.integers(1, 1_000), while_=CONDITIONS),
        some.map(lambda ways: fallback(*ways)),
        some.map(lambda ways: parallel(**{f"b{i}": w for i, w in enumerate(ways)})),
        st.builds(
            call,
            st.builds("{}@{}".format, NAMES, st.integers(1, 9)),
            inputs=st.dictionaries(NAMES, NAMES, max_size=2),
        ),
    )


FLOWS = st.recursive(one_stage(), nested, max_leaves=12)


def unlike(flow: Steps) -> Steps:
    """Return *flow* where no stage runs twice, which no file may say."""
    names = iter(range(10**6))
    stages = {}

    def renamed(plain):
        if isinstance(plain, list):
            return [renamed(item) for item in plain]
        if isinstance(plain, str):
            name = f"s{next(names)}"
            stages[name] = flow.stages[plain]
            return name
        inner = {"then", "else", "map", "loop", "fallback", "parallel"}
        return {k: branches(v) if k in inner else v for k, v in plain.items()}

    def branches(value):
        if isinstance(value, dict):
            return {name: renamed(way) for name, way in value.items()}
        return renamed(value)

    items = tuple(renamed(item) for item in flow.items)
    return Steps(items=items, stages=stages or {"s": {"predict": "x -> y"}})


@settings(max_examples=50)
@given(flow=FLOWS.map(unlike))
def test_any_flow_survives_a_file(flow):
    built = pipeline("any", version=1, input="x", output="y", flow=flow)
    text = to_yaml(built)
    again = read(text, STAGE_KINDS)
    assert again == built
    assert to_yaml(again) == text
    assert read(to_yaml(again), STAGE_KINDS).flow == built.flow
    # And the items that a file has are those that the builder was given.
    written = plain_flow(built.flow)
    assert len(written) == len(flow.items)
