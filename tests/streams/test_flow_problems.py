"""Mistakes in a flow: each is one problem, at its place, that names what is wrong."""

import pytest

from streams.errors import ConfigError
from streams.language.problems import Problem
from tests.streams.flows import file_of

A, B, C = "a: ticket -> x", "b: ticket -> y", "c: ticket -> z"
MAP = "{map: [a], over: parts, each: part, collect: {x: xs}}"
LOOP = "{loop: [a], until: sure > 0.5, max_iterations: 3}"

CASES = [
    # What an item may say.
    ("[a, [b]]", "flow.2: must be the name of a stage, or a mapping of parallel, when"),
    ("[a, {whne: x, then: [b]}]", "flow.2: says no kind of item; did you mean when?"),
    ("[a, {when: x, map: [b]}]", "flow.2: is of one kind only, not when and map"),
    ("[a, {parallel: [b]}]", "flow.2.parallel: must be a mapping of names to values"),
    ("[a, {parallel: {f: [b]}}]", "flow.2.parallel: needs two branches at least, each"),
    ("[{parallel: {f: [a], g: b}}]", "flow.1.parallel.g: must be a list of stages, in"),
    ("[{parallel: {f: [a], 2g: [b]}}]", "flow.1.parallel.2g: '2g' is no name: letter"),
    ("[{parallel: {f: [a], g: []}}]", "flow.1.parallel.g: must be a list of stages, i"),
    ("[a, {when: sure > 0.5}]", "flow.2.then: must be a list of stages, in the order"),
    ("[a, {when: 1, then: [b]}]", "flow.2.when: must be text, and not empty"),
    ("[{when: sure > 0.5, then: [a], esle: [b]}]", "flow.1.esle: is unknown; did you "),
    (MAP.replace(", each: part", ""), "flow.1.each: is missing"),
    (MAP.replace("over: parts", "over: 7up"), "flow.1.over: '7up' is no name: letters"),
    (MAP.replace(", collect: {x: xs}", ""), "flow.1.collect: is missing"),
    (MAP.replace("xs", "x-s"), "flow.1.collect.x: 'x-s' is no name: letters, digits"),
    (
        MAP.replace("}}", "}, width: 0}"),
        "flow.1.width: must be a whole number from 1 t",
    ),
    (
        MAP.replace("}}", "}, width: 257}"),
        "flow.1.width: must be a whole number from 1",
    ),
    (
        LOOP.replace(", max_iterations: 3", ""),
        "flow.1.max_iterations: is missing: no l",
    ),
    (
        LOOP.replace("s: 3", "s: 1001"),
        "flow.1.max_iterations: must be a whole number f",
    ),
    (
        LOOP.replace("until: sure > 0.5, ", ""),
        "flow.1: a loop has one condition, `unti",
    ),
    (
        LOOP.replace("max", "while: 'true', max"),
        "flow.1: a loop has one condition, `un",
    ),
    ("[{fallback: [[a]]}]", "flow.1.fallback: needs two lists of stages at least"),
    (
        "[{fallback: [[a], b]}]",
        "flow.1.fallback.2: must be a list of stages, in the or",
    ),
    ("[{pipeline: other}]", "flow.1.pipeline: is written name@version: enrich@2"),
    ("[{pipeline: other@0}]", "flow.1.pipeline: is written name@version: enrich@2"),
    (
        "[" * 20 + "a" + "]" * 20,
        "flow.1: must be the name of a stage, or a mapping of ",
    ),
    (
        "[{when: good, then: " * 17 + "[a]" + "}]" * 17,
        "flow.1" + ".then.1" * 15 + ".then: nests more than 16 deep",
    ),
    # Which stages.
    (
        "[a, {when: sure > 0.5, then: [d]}]",
        "flow.2.then.1: no stage is called d; known",
    ),
    ("[a, {when: sure > 0.5, then: [a]}]", "flow.2.then.1: a runs twice"),
    ("[{parallel: {f: [a], g: [a]}}]", "flow.1.parallel.g.1: a runs twice"),
]


@pytest.mark.parametrize(("flow", "sentence"), CASES)
def test_what_cannot_be_read_is_said_at_its_place(bench, flow, sentence):
    whole = flow if flow.startswith("[") else f"[{flow}]"
    stage = A.replace("ticket", "part") if "map: [a]" in flow else A
    text = file_of(whole, stage, B, output="ticket")
    found = [p for p in bench.problems(text) if "is not in the flow" not in p]
    assert len(found) == 1, found
    assert found[0].startswith(sentence)


FIELDS = [
    # Who makes what.
    (
        "[{parallel: {f: [a], g: [b]}}]",
        [A, "b: ticket -> x"],
        "flow.1.parallel.g: makes x, and so does f at the same time",
    ),
    (
        "[{parallel: {f: [a], g: [b]}}]",
        [A, "b: x -> y"],
        "stages.b.ask: nobody before makes x; a does, but not before",
    ),
    (
        "[{when: sure > 0.5, then: [a], else: [b]}]",
        [A, "b: ticket -> x: int"],
        (
            "flow.1.when: x is str from stage a, and int from stage b: one has to "
            "fit the "
            "other"
        ),
    ),
    (
        "[{fallback: [[a], [b], [c]]}]",
        [A, B, "c: ticket -> x: bool"],
        (
            "flow.1.fallback: x is str from stage a, and bool from stage c: one has "
            "to fit "
            "the other"
        ),
    ),
    (
        "[{when: sure > 0.5, then: [a]}, b]",
        [A, "b: x: str -> y"],
        "stages.b.ask: x is str here, but str | None from the when at flow.1",
    ),
    (
        "[a, {when: sure > 0.5, then: [b]}]",
        [A, "b: ticket -> x: int"],
        "stages.b.ask: makes x int, but stage a made it str",
    ),
    (
        "[a, b]",
        ["a: y -> x", "b: x -> y"],
        "stages.a.ask: nobody before makes y; each needs the next: a > b > a",
    ),
    (
        "[a, b, c]",
        ["a: z -> x", "b: x -> y", "c: y -> z"],
        "stages.a.ask: nobody before makes z; each needs the next: a > c > b > a",
    ),
    (
        "[a, b]",
        ["a: y -> x", B],
        "stages.a.ask: nobody before makes y; b does, but not before",
    ),
    (
        "[a, b]",
        [A, "b: ticket -> x"],
        "stages.b.ask: makes x again, and nobody read what a made",
    ),
    (
        "[{map: [a], over: parts, each: part, collect: {x: xs}}, b]",
        ["a: part -> x", "b: x -> y"],
        "stages.b.ask: nobody before makes x; a does, but not before",
    ),
    # Map.
    (
        "[{map: [a], over: pats, each: part, collect: {x: xs}}]",
        ["a: part -> x"],
        "flow.1.over: nobody before makes pats; did you mean parts?",
    ),
    (
        "[{map: [a], over: ticket, each: part, collect: {x: xs}}]",
        ["a: part -> x"],
        "flow.1.over: ticket is str from the input of the pipeline, and must be a list",
    ),
    (
        (
            "[{when: sure > 0.5, then: [b]}, {map: [a], over: y, each: part, "
            "collect: {x: xs}}]"
        ),
        ["a: part -> x", "b: ticket -> y: list[str]"],
        (
            "flow.2.over: y is list[str] | None from the when at flow.1, and must be a "
            "list"
        ),
    ),
    (
        "[{map: [a], over: parts, each: ticket, collect: {x: xs}}]",
        [A],
        (
            "flow.1.each: ticket is there already, from the input of the pipeline; "
            "choose "
            "another name"
        ),
    ),
    (
        "[{map: [a], over: parts, each: part, collect: {xx: xs}}]",
        ["a: part -> x"],
        "flow.1.collect.xx: the body makes no xx; did you mean x?",
    ),
    (
        "[{map: [a], over: parts, each: part, collect: {x: xs, part: xs}}]",
        ["a: part -> x"],
        "flow.1.collect.part: xs is collected twice",
    ),
    (
        "[{map: [a], over: parts, each: part, collect: {x: parts}}]",
        ["a: part -> x: int"],
        (
            "flow.1.collect.x: makes parts list[int], but the input of the pipeline "
            "made it "
            "list[str]"
        ),
    ),
    # Loop.
    (
        "[{loop: [a, b], until: sure > 0.5, max_iterations: 2}]",
        ["a: ticket, hint -> x", "b: x -> hint"],
        (
            "stages.a.ask: stage b makes hint later in the loop: give it a default "
            "here, or "
            "make it before the loop"
        ),
    ),
    (
        "[{loop: [a, b], until: sure > 0.5, max_iterations: 2}]",
        ["a: ticket, hint: int = 0 -> x", "b: x -> hint: str"],
        "stages.a.ask: hint is int here, but str from stage b",
    ),
    (
        "[{loop: [a], while: good, max_iterations: 2}]",
        ["a: ticket -> good: bool"],
        (
            "flow.1.while: stage a makes good later in the loop: make it before the "
            "loop "
            "too"
        ),
    ),
    (
        (
            "[{loop: [{map: [a], over: z, each: part, collect: {x: xs}}, b], "
            "until: sure > 0.5, max_iterations: 2}]"
        ),
        ["a: part -> x", "b: ticket -> z: list[str]"],
        (
            "flow.1.loop.1.over: stage b makes z later in the loop: make it before "
            "the loop "
            "too"
        ),
    ),
    # Conditions.
    (
        "[{when: suer > 0.5, then: [a]}]",
        [A],
        "flow.1.when: column 1: nothing is called suer; did you mean sure?",
    ),
    (
        "[{when: ticket, then: [a]}]",
        [A],
        "flow.1.when: says neither true nor false: it is of type string",
    ),
    (
        "[{loop: [a], until: sure > 1, max_iterations: 2}]",
        [A],
        (
            "flow.1.until: column 6: found no matching overload for '_>_' applied to "
            "'(double, int)'"
        ),
    ),
    (
        "[{when: 1 < 2, then: [a], else: [b]}]",
        [A, B],
        "flow.1.when: reads no field, and is always true: `else` is never reached",
    ),
    (
        "[{when: 1 > 2, then: [a], else: [b]}]",
        [A, B],
        "flow.1.when: reads no field, and is always false: `then` is never reached",
    ),
    (
        "[{when: 'true', then: [a]}]",
        [A],
        "flow.1.when: reads no field, and is always true: leave it out",
    ),
    (
        "[{loop: [a], while: 'false', max_iterations: 2}]",
        [A],
        "flow.1.while: is never true: the loop is never reached",
    ),
    # Other pipelines: there are none beside a text.
    (
        "[{pipeline: enrich@2}]",
        [],
        "flow.1.pipeline: no pipeline of this folder is called enrich; there are none",
    ),
    # What follows a failure.
    (
        "[a]",
        ["a: ticket -> x & on_failure: retry"],
        (
            "stages.a.on_failure: must be fail, skip, {default: {field: value}} or "
            "{stage: "
            "name}"
        ),
    ),
    (
        "[a]",
        ["a: ticket -> x & on_failure: {defualt: {x: q}}"],
        (
            "stages.a.on_failure: must be fail, skip, {default: {field: value}} or "
            "{stage: "
            "name}"
        ),
    ),
    (
        "[a]",
        ["a: ticket -> x & on_failure: {default: q}"],
        "stages.a.on_failure.default: must be a mapping of names to values",
    ),
    (
        "[a]",
        ["a: ticket -> x, y & on_failure: {default: {x: q}}"],
        "stages.a.on_failure.default.y: is missing",
    ),
    (
        "[a]",
        ["a: ticket -> x & on_failure: {default: {x: q, xx: q}}"],
        "stages.a.on_failure.default.xx: is no output of a; did you mean x?",
    ),
    (
        "[a]",
        ["a: ticket -> x: int[0..5] & on_failure: {default: {x: 7}}"],
        "stages.a.on_failure.default.x: expected int[0..5], got more than 5",
    ),
    (
        "[a]",
        ["a: ticket -> x & on_failure: {stage: aa}"],
        "stages.a.on_failure.stage: no stage is called aa; did you mean a?",
    ),
    (
        "[a, b]",
        ["a: ticket -> x & on_failure: {stage: b}", "b: x: str = '' -> x"],
        "stages.a.on_failure.stage: b is in the flow; a stage stands in, or runs",
    ),
    (
        "[a, b]",
        [
            "a: ticket -> x & on_failure: {stage: c}",
            "b: ticket -> z & on_failure: {stage: c}",
            "c: ticket -> x, z",
        ],
        "stages.b.on_failure.stage: c stands in for a already",
    ),
    (
        "[a]",
        [
            A,
            "b: ticket -> y & on_failure: {stage: c}",
            "c: ticket -> y & on_failure: {stage: b}",
        ],
        "stages.b.on_failure.stage: stands in for itself: b > c > b",
    ),
    (
        "[a]",
        ["a: ticket -> x, w & on_failure: {stage: b}", "b: ticket -> x"],
        "stages.a.on_failure.stage: b does not make w",
    ),
    (
        "[a]",
        ["a: ticket -> x: int & on_failure: {stage: b}", "b: ticket -> x"],
        "stages.a.on_failure.stage: b makes x str, and not int",
    ),
    (
        "[a]",
        ["a: ticket -> x & on_failure: {stage: b}", "b: y -> x"],
        "stages.b.ask: nobody before makes y; known: parts, sure, ticket",
    ),
]


@pytest.mark.parametrize(("flow", "stages", "problem"), FIELDS)
def test_what_does_not_fit_is_one_problem(bench, flow, stages, problem):
    text = file_of(flow, *(stages or [A]), output="ticket")
    found = [p for p in bench.problems(text) if stages or "not in the flow" not in p]
    assert found == [problem]
    # The path leads to a line of the file.
    with pytest.raises(ConfigError) as caught:
        bench.compile(text)
    assert all(isinstance(p, Problem) and p.line for p in caught.value.problems)


def test_a_wrong_condition_does_not_hide_what_else_is_wrong(bench):
    text = file_of(
        "[{when: nope, then: [a], else: [b]}, c]",
        A,
        "b: tickt -> x",
        "c: x: int -> y",
        output="y, w",
    )
    assert bench.problems(text) == [
        "flow.1.when: column 1: nothing is called nope; known: parts, sure, ticket",
        "stages.b.ask: nobody before makes tickt; did you mean ticket?",
        "stages.c.ask: x is int here, but str from the when at flow.1",
        "output: nobody before makes w; known: parts, sure, ticket, x, y",
    ]


def test_a_stand_in_that_cannot_be_built_is_one_problem(bench):
    text = file_of("[a]", "a: ticket -> x & on_failure: {stage: b}", output="x")
    wrong = """
  b:
    transform: "examples.support:soften"
    signature: "ticket -> x"
flow:"""
    (found,) = bench.problems(text.replace("\nflow:", wrong))
    assert found.startswith("stages.b.transform: examples.support:soften cannot be cal")


TWENTY = """
pipeline: Desk
version: none
input: "ticket: str, parts: list[str], tikcet: strng = 'a'"
output: "x, z, w: int"
lms:
  small: {model: scripted}
  large: {model: none-such}
stages:
  a: {ask: "ticket -> x", lm: small, timeout: 8}
  b: {ask: "ticket -> y", lm: smal}
  c: {ask: "ticket -> w", lm: large}
  d: {ask: "part -> z: int", lm: small, on_failure: {default: {z: many}}}
  e: {ask: "ticket -> x: int", lm: small, atempts: 3}
  f: {ask: "ticket -> v: strnig", lm: small}
  g: {transform: "os:system"}
  h: {aks: "ticket -> h"}
  i: {ask: "ticket -> i", lm: small}
flow:
  - a
  - {when: "size(ticket) > 'x'", then: [b], else: [c, a]}
  - {map: [d], over: ticket, each: part, collect: {z: zs}, width: 999}
  - {loop: [i], until: "size(ticket) > 3"}
  - {parallel: {one: [e]}}
  - k
"""


def test_twenty_mistakes_are_twenty_problems(bench):
    assert bench.problems(TWENTY) == [
        "flow.2.else.2: a runs twice",
        "flow.3.width: must be a whole number from 1 to 256",
        "flow.4.max_iterations: is missing: no loop goes on for ever",
        "flow.5.parallel: needs two branches at least, each with a name",
        "stages.a.timeout: must be a duration above 0: 250ms, 8s, 1m, 1h or 7d",
        "stages.e.atempts: is unknown; did you mean attempts?",
        "stages.h: says no kind of stage; did you mean ask?",
        "pipeline: 'Desk' is not lower case, a part of topic names",
        "version: must be a whole number from 1 to 2147483647",
        "flow.6: no stage is called k; known: a, b, c, d, e, f, g, h, i",
        "stages.f.ask: column 14: unknown type strnig; did you mean str?",
        (
            "stages.g.transform: module os is not allowed; PENSTOCK_CODE_MODULES "
            "allows streams_user_code, examples"
        ),
        "input: column 40: unknown type strng; did you mean str?",
        (
            "flow.2.when: column 14: found no matching overload for '_>_' applied to "
            "'(int, string)'"
        ),
        "flow.3.over: ticket is str from the input of the pipeline, and must be a list",
        "stages.d.on_failure.default.z: expected int, got str",
        "stages.e.ask: makes x int, but stage a made it str",
        "output: w is int here, but str | None from the when at flow.2",
        "stages.b.lm: no LM is called smal; did you mean small?",
        "lms.large.model: no such model",
    ]
