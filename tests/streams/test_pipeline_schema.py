"""Editors know what the reader knows of the shape of a pipeline file, and no less."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from streams.catalog import STAGE_KINDS
from streams.language.pipeline_file import read_pipeline
from streams.language.problems import Problems
from streams.language.yaml_text import plain_values
from streams.pipeline_schema import pipeline_schema, pipeline_schema_text
from tests.docs.pages import PAGES, blocks_of

ROOT = Path(__file__).parents[2]

FILES = sorted(
    path
    for folder in ("pipelines", "examples", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.y*ml")
    if "\npipeline:" in f"\n{path.read_text(encoding='utf-8')}"
)
BLOCKS = [
    block
    for page in PAGES
    for block in blocks_of(page)
    if block.language == "yaml" and "pipeline" in yaml.safe_load(block.text)
]


@pytest.fixture(scope="module")
def schema():
    made = pipeline_schema(STAGE_KINDS)
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def complaints(schema, text):
    plain = plain_values(text, Problems("file"))
    return [error.message for error in schema.iter_errors(plain)]


def refused(text):
    """Say whether the reader finds something wrong with the shape of *text*."""
    problems = Problems("file")
    read_pipeline(plain_values(text, problems), STAGE_KINDS, problems)
    return problems.found


def test_the_published_schema_is_the_one_that_the_code_makes():
    published = (ROOT / "docs/pipeline-schema.json").read_text(encoding="utf-8")
    told = "run `penstock pipeline schema > docs/pipeline-schema.json`"
    assert published == pipeline_schema_text(), told
    assert json.loads(published)["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])
def test_every_file_that_there_is_fits_the_schema(schema, path):
    assert complaints(schema, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("block", BLOCKS, ids=map(str, BLOCKS))
def test_every_pipeline_of_the_documentation_fits_the_schema(schema, block):
    assert complaints(schema, block.text) == []


GOOD = """
pipeline: desk
version: 1
input: "ticket"
output: "reply"
extra: drop
progress: all
types: {Line: "sku: str"}
signatures: {sort@1: "a -> b"}
session: {ttl: 1h, history: 3}
lms: {small: {model: local/demo, temperature: 0.5, params: {seed: 1}, timeout: 30s}}
tools: {look: {call: "m:look", timeout: 5s, description: "Look."}}
stages:
  sort: {predict: "ticket -> topic", lm: small, timeout: 8s, attempts: 3}
  bill: {reason: "ticket -> reply", on_failure: {stage: other}}
  other: {predict: "ticket -> reply", on_failure: skip}
  tidy: {transform: "m:tidy", inline: true, on_failure: {default: {reply: ""}}}
  text: {template: "topic -> line", text: "{{ topic }}"}
  rules: {validate: "line -> ok: bool", rules: {short: "size(line) < 9"}}
  again: {predict: "topic -> topic"}
  quick: {predict: "topic -> reply"}
  slow: {predict: "topic -> reply"}
flow:
  - sort
  - {when: "topic == 'bill'", then: [bill], else: [text]}
  - {parallel: {a: [tidy], b: [rules]}}
  - {map: [other], over: lines, each: line, collect: {line: lines}, width: 2}
  - {loop: [again], until: "true", max_iterations: 2}
  - {fallback: [[quick], [slow]]}
  - {pipeline: enrich@2, as: first, inputs: {a: b}, outputs: {c: d}}
"""


def test_a_file_with_everything_fits_the_schema(schema):
    assert complaints(schema, GOOD) == []
    assert refused(GOOD) == []


MISTAKES = [
    ("version: 1\n", ""),
    ("version: 1", "version: 0"),
    ("version: 1", "version: '1'"),
    ("version: 1", "version: 1\nverson: 1"),
    ("pipeline: desk", "pipeline: Desk"),
    ("pipeline: desk", "pipeline: sessions"),
    ("pipeline: desk", "pipeline: [desk]"),
    ('input: "ticket"', "input: ' '"),
    ('output: "reply"\n', ""),
    ("extra: drop", "extra: forget"),
    ("progress: all", "progress: none"),
    ('{Line: "sku: str"}', "[Line]"),
    ('{Line: "sku: str"}', '{1Line: "sku: str"}'),
    ("ttl: 1h", "ttl: 1 hour"),
    ("history: 3", "history: -1"),
    ("history: 3", "histroy: 3"),
    ("model: local/demo, ", ""),
    ("{small: {", "{sm-all: {"),
    ('call: "m:look", ', ""),
    ("timeout: 5s, d", "timeout: 5, d"),
    ("lm: small, timeout: 8s", "lm: small, timeout: 8"),
    ("attempts: 3", "attempts: 0"),
    ("attempts: 3", "attempts: 21"),
    ("attempts: 3", "atempts: 3"),
    ("lm: small", "lm: [small]"),
    ("  sort: {predict:", "  sort: {predcit:"),
    ("  sort: {predict:", "  sort: {reason: 'a -> b', predict:"),
    ("  sort: {predict:", "  so-rt: {predict:"),
    ("inline: true", "inline: maybe"),
    ('"m:tidy", inline', '"m:tidy", lm: small, inline'),
    ("on_failure: skip", "on_failure: ignore"),
    ("on_failure: skip", "on_failure: {skip: true}"),
    ("{default: {reply", "{default: 3, stage: x, more: {reply"),
    ('text: "{{ topic }}"', "text: 3"),
    ("rules: {short:", "rulez: {short:"),
    ("  - sort\n", "  - 3\n"),
    ("  - sort\n", "  - {}\n"),
    ("  - {when:", "  - {wenn:"),
    ("then: [bill]", "than: [bill]"),
    ("then: [bill]", "then: bill"),
    ("else: [text]", "else: []"),
    ("{a: [tidy], b: [rules]}", "{a: [tidy]}"),
    ("over: lines, ", ""),
    ("over: lines", "over: 3"),
    ("collect: {line: lines}", "collect: {}"),
    ("width: 2", "width: 0"),
    ("width: 2", "width: 257"),
    (", max_iterations: 2", ""),
    ("max_iterations: 2", "max_iterations: 0"),
    ('until: "true", ', ""),
    ('until: "true"', 'until: "true", while: "true"'),
    ("[[quick], [slow]]", "[[quick]]"),
    ("[[quick], [slow]]", "[quick, slow]"),
    ("enrich@2", "enrich"),
    ("as: first", "as: fir-st"),
    ("as: first", "as: 3"),
    ("as: first", "called: first"),
    ("inputs: {a: b}", "input: {a: b}"),
    ("inputs: {a: b}", "inputs: [a]"),
]


@pytest.mark.parametrize(("before", "after"), MISTAKES)
def test_what_the_reader_refuses_for_its_shape_the_schema_refuses(
    schema, before, after
):
    text = GOOD.replace(before, after, 1)
    assert text != GOOD
    assert refused(text)
    assert complaints(schema, text)


def test_every_key_of_every_kind_is_described(schema):
    for stage in schema.schema["$defs"]["stage"]["oneOf"]:
        for key, value in stage["properties"].items():
            assert value, (stage["title"], key)
