"""What a drawing of a pipeline shows: boxes, frames around them, and what follows what.

Here a compiled flow becomes figures; how figures look in a terminal, in Mermaid and in
SVG is the business of one file each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from streams.plan import Pipeline
from streams.planned import (
    CallNode,
    Fail,
    FallbackNode,
    LoopNode,
    MapNode,
    Node,
    OnFailure,
    ParallelNode,
    PlannedStage,
    SequenceNode,
    StageNode,
    UseStage,
    WhenNode,
)
from streams.views.policies import policy_words

LONGEST: Final = 60
"""Characters of a condition that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One stage: its name, and below it what there is to know."""

    name: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the things in a frame; they stand side by side."""

    label: str
    figure: "Figure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Something around other things: all of them, one of them, or one again and again.

    The title says which.
    """

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Figures, and which of them wait for which."""

    figures: tuple["Figure", ...]
    after: tuple[frozenset[int], ...]
    """For each figure, the indexes of those before it; never of itself or a later."""

    def levels(self) -> Sequence[Sequence["Figure"]]:
        """Return the figures in rows: each stands below all that it waits for."""
        depths: list[int] = []
        rows: list[list[Figure]] = []
        for figure, before in zip(self.figures, self.after, strict=True):
            depth = max((depths[index] + 1 for index in before), default=0)
            depths.append(depth)
            if depth == len(rows):
                rows.append([])
            rows[depth].append(figure)
        return rows


Figure = Box | Frame | Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A pipeline, ready to be drawn."""

    title: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body: Figure


def drawing_of(pipeline: Pipeline) -> Drawing:
    """Return what a drawing of *pipeline* shows."""
    return Drawing(
        title=f"{pipeline.name} {pipeline.version}",
        inputs=tuple(field.name for field in pipeline.inputs),
        outputs=tuple(field.name for field in pipeline.outputs),
        body=figure_of(pipeline.flow),
    )


def figure_of(node: Node) -> Figure:  # noqa: C901, PLR0911 - one case a node
    """Return how *node* is shown."""
    match node:
        case StageNode():
            return _stage(node.stage)
        case SequenceNode():
            return Order(figures=tuple(map(figure_of, node.nodes)), after=node.after)
        case ParallelNode():
            return _framed("parallel", node.branches)
        case WhenNode():
            ways = {"then": node.then, "else": node.otherwise}
            return _framed(f"when {shortened(node.condition.text)}", ways)
        case MapNode():
            title = f"map {node.over} as {node.each}, {node.width} at a time"
            return _framed(title, {_collected(node.collect): node.body})
        case LoopNode():
            return _framed(_loop_title(node), {"": node.body})
        case FallbackNode():
            return _fallback(node.alternatives)
        case CallNode():
            return _framed(f"pipeline {node.title}", {"": node.body})


def shortened(text: str) -> str:
    """Return *text* on one line, and not longer than fits a title."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _framed(title: str, parts: Mapping[str, Node]) -> Frame:
    found = tuple(Part(label=k, figure=figure_of(v)) for k, v in parts.items())
    return Frame(title=title, parts=found)


def _collected(collect: Mapping[str, str]) -> str:
    return ", ".join(f"{field} → {items}" for field, items in collect.items())


def _loop_title(node: LoopNode) -> str:
    word = "while" if node.before else "until"
    said = f"{word} {shortened(node.condition.text)}"
    return f"loop {said}, at most {node.max_iterations} times"


def _fallback(alternatives: Sequence[Node]) -> Frame:
    labels = ("first", *["else"] * (len(alternatives) - 1))
    parts = zip(labels, map(figure_of, alternatives), strict=True)
    found = tuple(Part(label=label, figure=figure) for label, figure in parts)
    return Frame(title="fallback", parts=found)


def _stage(stage: PlannedStage) -> Figure:
    box = Box(name=stage.name, notes=tuple(_notes(stage)))
    if not isinstance(stage.on_failure, UseStage):
        return box
    other = _stage(stage.on_failure.stage)
    parts = (Part(label="first", figure=box), Part(label="on failure", figure=other))
    return Frame(title=f"{stage.name}, or what stands in for it", parts=parts)


def _notes(stage: PlannedStage) -> Iterator[str]:
    yield " · ".join(part for part in (stage.spec.kind, _lm(stage)) if part)
    tries = stage.retry.attempts
    if stage.timeout_s is not None or tries > 1:
        limit = "" if stage.timeout_s is None else f"{stage.timeout_s:g} s"
        times = f"{tries} attempts" if tries > 1 else ""
        yield ", ".join(part for part in (limit, times) if part)
    told = _failure(stage.on_failure)
    if told:
        yield told


def _lm(stage: PlannedStage) -> str:
    return "" if stage.lm is None else stage.lm.name


def _failure(policy: OnFailure) -> str:
    # Who stands in is drawn, and to fail is usual.
    if isinstance(policy, Fail | UseStage):
        return ""
    return f"on failure: {policy_words(policy)}"
