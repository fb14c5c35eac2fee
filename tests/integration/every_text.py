"""A pipeline with every construct, and the files beside it."""

from typing import Final

import dspy
import orjson

TOOLS: Final = ("find_order", "find_customer")
"""Whom its loop calls, turn by turn."""

ENRICH: Final = """
pipeline: enrich
version: 1
input: "mail: str"
output: "remark: str"
lms:
  other: {{model: openai/fake, api_base: "{api_base}", limit: 256}}
stages:
  look: {{predict: "mail -> remark"}}
flow: [look]
"""

EVERY: Final = """
pipeline: every
version: 1
types: {{ToolCall: "tool: str, arguments: str, ok: bool, result: str"}}
input: "ticket: str, book: str, parts: list[str, ..10]"
output: >
  letter: str, tool_calls: list[ToolCall], notes: list[str], sizes: list[int],
  rounds: int, remark: str, forecast: str, facts: list[str], desk: str, score: float,
  fits: bool, sealed: bool
session: {{ttl: 1h, history: 3}}
progress: all
lms:
  small: {{model: openai/fake, api_base: "{api_base}", limit: 256}}
tools:
  find_order: {{call: "everycode:find_order", timeout: 5s}}
  find_customer: {{call: "everycode:find_customer"}}
stages:
  classify: {{predict: "ticket, history -> category: Literal['billing', 'bug']"}}
  think: {{reason: "ticket -> summary"}}
  solve:
    react: "ticket, book, category -> answer"
    tools: [find_order, find_customer]
    max_calls: 4
  title:
    predict: "summary -> title"
    best_of: {{n: 2, reward: "everycode:brevity", threshold: 9}}
  slogan:
    predict: "title -> slogan"
    refine: {{n: 2, reward: "everycode:brevity", threshold: 9}}
  team: {{program: "ticket -> team", state: programs/team.json}}
  desk: {{program: "team -> desk", class: "everycode:Desk", threads: 4}}
  note: {{predict: "part -> note"}}
  size: {{transform: "everycode:size", signature: "part -> size: int"}}
  draft: {{predict: "answer, hint: str = '' -> draft"}}
  judge:
    transform: "everycode:judge"
    signature: "draft, rounds: int = 0 -> rounds: int, hint"
  pay: {{predict: "draft, category -> reply"}}
  mend: {{predict: "draft, slogan -> reply"}}
  polish:
    transform: "everycode:polish"
    signature: "ticket, reply -> letter"
    on_failure: {{stage: plain}}
  plain: {{template: "reply -> letter", text: "Hello, {{{{ reply }}}}"}}
  weather:
    http: "ticket -> weather"
    url: "{town}/weather?ticket={{{{ ticket | urlencode }}}}"
    on_failure: skip
    timeout: 20s
  forecast: {{template: "weather -> forecast", text: "It will be {{{{ weather }}}}."}}
  facts:
    http: "ticket -> facts: list[str]"
    url: "{town}/facts?ticket={{{{ ticket | urlencode }}}}"
    on_failure: {{default: {{facts: [none]}}}}
    timeout: 20s
  never:
    validate: "ticket -> fits: bool"
    rules: {{it is huge: "size(ticket) > 100000"}}
    fail: true
  usual: {{validate: "ticket -> fits: bool", rules: {{it is: "size(ticket) < 100"}}}}
  score: {{metric: "title, slogan -> score: float", by: f1}}
  seal:
    validate: >
      ticket, letter, desk, remark, notes: list[str], score: float, facts: list[str],
      fits: bool, forecast: str | None -> sealed: bool
    rules: {{it may leave: "!ticket.contains('secret')"}}
    fail: true
flow:
  - classify
  - parallel:
      tone: [think, title, slogan]
      desk: [team, desk]
      facts: [solve]
  - map: [note, size]
    over: parts
    each: part
    collect: {{note: notes, size: sizes}}
    width: 2
  - {{loop: [draft, judge], until: "rounds >= 2", max_iterations: 3}}
  - {{when: "category == 'billing'", then: [pay], else: [mend]}}
  - polish
  - weather
  - forecast
  - facts
  - {{fallback: [[never], [usual]]}}
  - {{pipeline: enrich@1, inputs: {{mail: ticket}}}}
  - score
  - seal
"""

SOLVE: Final = """
pipeline: solve
version: 1
types: {{ToolCall: "tool: str, arguments: str, ok: bool, result: str"}}
input: "ticket: str, book: str"
output: "answer: str, tool_calls: list[ToolCall]"
lms:
  small: {{model: openai/fake, api_base: "{api_base}", limit: 256}}
tools:
  find_order: {{call: "everycode:find_order", timeout: 5s}}
  find_customer: {{call: "everycode:find_customer"}}
stages:
  solve:
    react: "ticket, book -> answer"
    tools: [find_order, find_customer]
    max_calls: 10
flow: [solve]
"""
"""One loop with tools, and nothing else."""

NOTES: Final = """
pipeline: notes
version: 1
input: "parts: list[str, ..1000]"
output: "notes: list[str]"
lms:
  small: {{model: openai/fake, api_base: "{api_base}", limit: 256}}
stages:
  note: {{predict: "part -> note"}}
flow:
  - {{map: [note], over: parts, each: part, collect: {{note: notes}}, width: 16}}
"""
"""One map over many elements."""


def saved_program() -> str:
    """Return the state that the stage ``team`` is made of, as DSPy saves it."""
    return orjson.dumps(dspy.Predict("ticket: str -> team: str").dump_state()).decode()
