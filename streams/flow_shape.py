"""A compiled flow, looked at from outside: its stages in order, and its shape."""

from collections.abc import Iterator
from typing import Any

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
    Skip,
    StageNode,
    UseDefault,
    UseStage,
    WhenNode,
)


def stages_of(node: Node) -> Iterator[PlannedStage]:
    """Give all stages in the order of the flow; behind each, those that stand in."""
    for each in every_node(node):
        if isinstance(each, StageNode):
            yield from _with_stand_ins(each.stage)


def every_node(node: Node) -> Iterator[Node]:
    """Give *node* and all inside of it, in the order of the file."""
    yield node
    for inner in inner_nodes(node):
        yield from every_node(inner)


def inner_nodes(node: Node) -> tuple[Node, ...]:
    """Return the nodes that *node* holds, in the order of the file."""
    match node:
        case StageNode():
            return ()
        case SequenceNode():
            return node.nodes
        case ParallelNode():
            return tuple(node.branches.values())
        case WhenNode():
            return (node.then, node.otherwise)
        case MapNode() | LoopNode() | CallNode():
            return (node.body,)
        case FallbackNode():
            return node.alternatives


def shape_of(node: Node) -> list[Any]:
    """Return all that decides which stages run on which fields, as plain values."""
    said = _said_by(node)
    return [*said, *(shape_of(inner) for inner in inner_nodes(node))]


def _said_by(node: Node) -> list[Any]:  # noqa: C901, PLR0911 - one case a kind
    match node:
        case StageNode():
            return ["stage", _failing(node.stage)]
        case SequenceNode():
            return ["sequence"]
        case ParallelNode():
            return ["parallel", list(node.branches)]
        case WhenNode():
            return ["when", node.condition.text]
        case MapNode():
            # Not its width: who lowers it and restarts should not pay again.
            return ["map", node.over, node.each, node.collect]
        case LoopNode():
            asked = "while" if node.before else "until"
            return ["loop", asked, node.condition.text, node.max_iterations]
        case FallbackNode():
            return ["fallback"]
        case CallNode():
            fields = [node.inputs, node.constants, node.outputs]
            return ["pipeline", node.pipeline, *fields]


def _failing(stage: PlannedStage) -> list[Any]:
    return [stage.name, _follows(stage.on_failure), stage.instead_of_holes]


def _follows(policy: OnFailure) -> list[Any]:
    match policy:
        case Fail():
            return ["fail"]
        case Skip():
            return ["skip"]
        case UseDefault():
            return ["default", policy.outputs]
        case UseStage():
            return ["stage", _failing(policy.stage)]


def _with_stand_ins(stage: PlannedStage) -> Iterator[PlannedStage]:
    yield stage
    if isinstance(stage.on_failure, UseStage):
        yield from _with_stand_ins(stage.on_failure.stage)
