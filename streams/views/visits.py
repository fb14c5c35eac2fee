"""All nodes of a flow, one after the other, each with what it stands in."""

from collections.abc import Iterator
from dataclasses import dataclass

from streams.planned import (
    CallNode,
    FallbackNode,
    LoopNode,
    MapNode,
    Node,
    ParallelNode,
    SequenceNode,
    StageNode,
    WhenNode,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A node, and what it stands in: ``parallel facts / when c``."""

    node: Node
    within: tuple[str, ...]
    called: bool
    """Whether it is part of another pipeline, with fields of its own."""


def visits_of(
    node: Node, within: tuple[str, ...] = (), *, called: bool = False
) -> Iterator[Visit]:
    """Give *node* and all nodes in it, in the order of the flow."""
    yield Visit(node=node, within=within, called=called)
    for label, inner in _inside(node):
        deeper = (*within, label) if label else within
        is_called = called or isinstance(node, CallNode)
        yield from visits_of(inner, deeper, called=is_called)


def _inside(node: Node) -> Iterator[tuple[str, Node]]:  # noqa: C901 - one case a node
    match node:
        case SequenceNode():
            yield from (("", inner) for inner in node.nodes)
        case ParallelNode():
            yield from ((f"parallel {k}", v) for k, v in node.branches.items())
        case WhenNode():
            yield f"when {node.condition.text}", node.then
            yield f"unless {node.condition.text}", node.otherwise
        case MapNode():
            yield f"map {node.over}", node.body
        case LoopNode():
            yield f"loop, {node.max_iterations} times at most", node.body
        case FallbackNode():
            for number, way in enumerate(node.alternatives, start=1):
                yield f"fallback {number}", way
        case CallNode():
            yield f"pipeline {node.title}", node.body
        case StageNode():
            return
