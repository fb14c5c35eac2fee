"""The flow of a pipeline as its file says it: a tree of names, and nothing checked yet.

The compiler (``streams/compiling/flow.py``) makes of it what runs
(``streams/planned.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class StageItem:
    """One stage: its name under ``stages:``."""

    name: str
    path: str
    """Where the file says it, ``flow.2.then.1``; so in all items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelItem:
    """``{parallel: {facts: [lookup], tone: [draft, polite]}}``: all, and their join."""

    branches: Mapping[str, "Items"]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhenItem:
    """``{when: "sure < 0.5", then: [ask], else: [answer]}``: one of two."""

    condition: str
    """In CEL."""
    then: "Items"
    otherwise: "Items"
    """Empty where the file has no ``else``."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapItem:
    """``{map: [sum_up], over: parts, each: part, collect: {summary: summaries}}``.

    Once for each element of a list, at most ``width`` at a time.
    """

    body: "Items"
    over: str
    """The field that is a list."""
    each: str
    """The field that the body finds its element in."""
    collect: Mapping[str, str]
    """Field of the body: list of its values, in the order of the elements."""
    width: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopItem:
    """``{loop: [draft, judge], until: "score >= 0.8", max_iterations: 3}``."""

    body: "Items"
    condition: str
    """In CEL."""
    before: bool
    """Whether it is asked before each iteration, and goes on while it holds
    (``while:``); else it is asked after each, and ends the loop (``until:``)."""
    max_iterations: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackItem:
    """``{fallback: [[careful], [quick, polite]]}``: the first that does not fail."""

    alternatives: tuple["Items", ...]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineItem:
    """``{pipeline: enrich@2, inputs: {ticket: mail}, outputs: {notes: remarks}}``.

    Another file's flow, with fields of its own: it sees its inputs and nothing else,
    and leaves its outputs and nothing else.
    """

    name: str
    version: int
    given: str = ""
    """What the call is called, ``as: first``; empty where the file does not say."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Its input: our field, where the two are not called the same."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Its output: our field, where the two are not called the same."""
    path: str

    @property
    def call(self) -> str:
        """What the call is called: its stages are ``<call>_<stage>`` here."""
        return self.given or self.name

    @property
    def title(self) -> str:
        """For sentences: ``enrich``, or ``enrich as first``."""
        return f"{self.name} as {self.given}" if self.given else self.name


Item = (
    StageItem
    | ParallelItem
    | WhenItem
    | MapItem
    | LoopItem
    | FallbackItem
    | PipelineItem
)
Items = tuple[Item, ...]
"""One after the other; those that do not need each other, at the same time."""
