"""The file that `penstock pipeline new` writes: it compiles, runs, explains itself."""

from pathlib import Path
from typing import Final

from streams.errors import ConfigError

_STARTER: Final = """\
# NAME: a question comes in, stages run in the order of the flow, an answer goes out.
#
#   penstock pipeline validate FILE       every problem, with its line and column
#   penstock pipeline run FILE question="Where is my order?"
#   penstock pipeline graph FILE          the flow as a drawing
#   penstock pipeline explain FILE        its fields, its LMs, its worst case
pipeline: NAME

# Raise it when callers have to tell results of before and after apart.
version: 1

# Fields: a name, a type, a description for the LM and the schema, a default.
# Bounds are enforced: a wrong input rejects the request, a wrong output is asked again.
input: >-
  question: str[1..2000] "What somebody wants to know",
  tone: Literal['warm', 'plain'] "How to answer" = 'plain'
output: >-
  topic: str "What the question is about",
  reply: str "The answer"

lms:
  # Deterministic, and without a key. With a model behind it:
  #   small: {model: openai/gpt-5-mini}
  #   small: {model: hosted_vllm/qwen3, api_base: "http://localhost:8000"}
  small: {model: local/demo}

stages:
  # `predict` asks straight for the outputs, `reason` lets the LM think first.
  sort:
    predict: "question -> topic: Literal['order', 'product', 'other']"
    instructions: Say what the question is about.
    timeout: 10s
    attempts: 3
    # When no attempt is left: fail (the default), skip, {stage: name}, or this.
    on_failure: {default: {topic: other}}
  answer:
    reason: 'question, topic, tone -> reply: str[1..] "A short, helpful answer"'
    timeout: 30s

# One after the other. Items may also be
#   {parallel: {a: [one], b: [two, three]}}
#   {when: "topic == 'order'", then: [one], else: [two]}
#   {map: [one], over: parts, each: part, collect: {summary: summaries}}
flow: [sort, answer]
"""


def starter_text(name: str, file: Path) -> str:
    """Return the text of a new pipeline called *name*, to be kept in *file*."""
    return _STARTER.replace("NAME", name).replace("FILE", str(file))


def starter_path(name: str, folder: Path) -> Path:
    """Return the file for a new pipeline called *name* in *folder*.

    Raises:
        ConfigError: it is there already.
    """
    path = folder / f"{name}.yaml"
    if path.exists():
        raise ConfigError(
            [f"{path}: is there already; take another name, or change it"]
        )
    return path
