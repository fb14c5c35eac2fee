"""A file with fifty-two mistakes, in every chapter of the language, reports fifty-two.

Each has its line and column. What follows from another mistake is not reported.
"""

from streams.catalog import toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.errors import ConfigError
from streams.language.problems import located
from streams.metrics import NullRecorder
from streams.pipeline import compile_text

FILE = """\
pipeline: Desk
version: 0
progres: all
extra: ignore
types:
  line: "sku: str"
  Order: "lines: list[Lin]"
  Loop: "again: Loop"
input: "ticket: strng, parts: list[str, 5..1], sure: float = 'high', mail: str, mail: str"
output: "reply: str, missing: str, total: int"
session: {ttl: never, history: -1}
lms:
  small: {model: local/demo}
  other: {model: local/demo, limit: none}
  large: {model: nowhere/at-all}
tools:
  finish: {call: "examples.assistant:find_order"}
  shell: {call: "os:system"}
  order: {call: "examples.assistant:find_order", timeout: soon}
signatures:
  triage: "ticket -> category"
  sort@1: "ticket -> "
stages:
  a: {predict: "mail -> x: int", lm: smal}
  b: {reason: "mail -> y: float[1..0]", lm: small, timeout: 8}
  c: {react: "mail -> z", lm: small, tools: [order], max_calls: 0}
  d: {template: "mail -> t", text: "Dear {% include 'x' %}"}
  e: {validate: "mail -> ok: bool", rules: {short: "size(mail) < '9'"}}
  f: {metric: "x: int, t: str -> score: float", by: f11}
  g: {http: "mail -> page", url: "https://api.example.org/", method: PUT}
  h: {program: "mail -> h", lm: small, state: ../../secret.json}
  i: {transform: "os:system", signature: "mail -> i"}
  j: {predict: "mail -> j: int", lm: small, on_failure: {default: {j: many, k: 1}}}
  k: {predict: "mail -> k", lm: other, on_failure: {stage: nobody}}
  l: {predict: "mail -> l", lm: large, atempts: 3}
  m: {predict: "mail -> m", lm: small, attempts: 0, best_of: {n: 1, reward: "examples.support:soften"}}
  n: {pedict: "mail -> n"}
  p: {predict: "mail -> p", lm: small}
  o: {predict: "@nobody@2", lm: small}
flow:
  - a
  - {when: "size(mail) > 'x'", then: [b], else: [zz]}
  - {map: [c], over: mail, each: part, collect: {z: zs}, width: 0}
  - {loop: [d], until: "mail.matches(mail)", max_iterations: 0}
  - {parallel: {one: [e]}}
  - {fallback: [[f]]}
  - {pipeline: other@1}
  - a
  - {whn: "true", then: [p]}
  - [p]
  - g
  - h
  - i
  - j
  - k
  - l
  - m
  - o
"""  # noqa: E501 - the columns count

REPORTED = """\
desk.yaml:1:11: pipeline: 'Desk' is not lower case, a part of topic names
desk.yaml:2:10: version: must be a whole number from 1 to 2147483647
desk.yaml:3:1: progres: is unknown; did you mean progress?
desk.yaml:4:8: extra: must be drop, keep, reject
desk.yaml:6:9: types.line: 'line' is no name of a type: those begin with a …
desk.yaml:7:23: types.Order: unknown type Lin; did you mean int?
desk.yaml:8:9: types.Loop: holds itself: Loop > Loop
desk.yaml:9:17: input: unknown type strng; did you mean str?
desk.yaml:9:41: input: a range begins with its lower bound
desk.yaml:9:62: input: default of sure: expected float, got str
desk.yaml:9:81: input: the field mail is here twice
desk.yaml:11:16: session.ttl: must be a duration above 0: 250ms, 8s, 1m, 1h or …
desk.yaml:11:32: session.history: must be a whole number from 0 to 1000
desk.yaml:14:37: lms.other.limit: a whole number of at least 1
desk.yaml:15:18: lms.large.model: 'nowhere/at-all' is none of local/demo, …
desk.yaml:17:3: tools.finish: finish is what an LM calls when it is done
desk.yaml:18:17: tools.shell.call: module os is not allowed; …
desk.yaml:19:59: tools.order.timeout: must be a duration above 0: 250ms, 8s, …
desk.yaml:21:3: signatures.triage: 'triage' is not written name@version: …
desk.yaml:22:22: signatures.sort@1: a signature needs at least one output
desk.yaml:24:38: stages.a.lm: no LM is called smal; did you mean small?
desk.yaml:25:33: stages.b.reason: a range begins with its lower bound
desk.yaml:25:61: stages.b.timeout: must be a duration above 0: 250ms, 8s, 1m, …
desk.yaml:26:65: stages.c.max_calls: must be a whole number from 1 to 200
desk.yaml:27:45: stages.d.text: a template includes nothing
desk.yaml:28:64: stages.e.rules.short: found no matching overload for '_<_' …
desk.yaml:29:53: stages.f.by: no metric is called f11; did you mean f1?
desk.yaml:30:70: stages.g.method: is none that is known; known: GET, POST
desk.yaml:31:47: stages.h.state: '../../secret.json' is no path of a .json …
desk.yaml:32:18: stages.i.transform: module os is not allowed; …
desk.yaml:33:71: stages.j.on_failure.default.j: expected int, got str
desk.yaml:33:77: stages.j.on_failure.default.k: is no output of j; known: j
desk.yaml:34:60: stages.k.on_failure.stage: no stage is called nobody; known: …
desk.yaml:35:40: stages.l.atempts: is unknown; did you mean attempts?
desk.yaml:36:50: stages.m.attempts: must be a whole number from 1 to 20
desk.yaml:36:53: stages.m.best_of.threshold: is missing
desk.yaml:36:66: stages.m.best_of.n: must be a whole number from 2 to 20
desk.yaml:36:77: stages.m.best_of.reward: examples.support:soften cannot be called …
desk.yaml:37:3: stages.n: says no kind of stage; did you mean predict?
desk.yaml:39:16: stages.o.predict: no signature is called nobody
desk.yaml:42:24: flow.2.when: found no matching overload for '_>_' applied to …
desk.yaml:42:50: flow.2.else.1: no stage is called zz; known: a, b, c, d, e, f, …
desk.yaml:43:22: flow.3.over: mail is str from the input of the pipeline, and …
desk.yaml:43:65: flow.3.width: must be a whole number from 1 to 256
desk.yaml:44:24: flow.4.until: a pattern is written out where it is used: …
desk.yaml:44:62: flow.4.max_iterations: must be a whole number from 1 to 1000
desk.yaml:45:6: flow.5.parallel: needs two branches at least, each with a name
desk.yaml:46:6: flow.6.fallback: needs two lists of stages at least
desk.yaml:47:16: flow.7.pipeline: no pipeline of this folder is called other; …
desk.yaml:48:5: flow.8: a runs twice
desk.yaml:49:5: flow.9: says no kind of item; did you mean when?
desk.yaml:50:5: flow.10: must be the name of a stage, or a mapping of parallel, …
"""


def test_every_mistake_is_reported_once_at_its_place():
    settings = Settings(code_modules="examples", http_hosts="api.example.org")
    tools = toolbox(settings, {}, NullRecorder(), SystemClock())
    try:
        compile_text(FILE, "desk.yaml", tools)
    except ConfigError as error:
        found = sorted(map(located, error.problems), key=_place)
    wanted = REPORTED.splitlines()
    assert len(found) == len(wanted) == 52
    for said, begun in zip(found, wanted, strict=True):
        assert said.startswith(begun.removesuffix("…"))


def _place(said):
    _, line, column, _ = said.split(":", 3)
    return int(line), int(column)
