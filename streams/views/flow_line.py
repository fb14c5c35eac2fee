"""A compiled flow in one line: ``sort, when sure < 0.5 (ask | answer), send``."""

from collections.abc import Iterable

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


def flow_line(node: Node) -> str:  # noqa: C901, PLR0911 - one case a node
    """Return *node* as a line that differs whenever its flow does."""
    match node:
        case StageNode():
            return node.stage.name
        case SequenceNode():
            return ", ".join(map(flow_line, node.nodes)) or "nothing"
        case ParallelNode():
            ways = (f"{k}: {flow_line(v)}" for k, v in node.branches.items())
            return f"parallel {_ways(ways)}"
        case WhenNode():
            both = (flow_line(node.then), flow_line(node.otherwise))
            return f"when {node.condition.text} {_ways(both)}"
        case MapNode():
            made = ", ".join(f"{k} in {v}" for k, v in node.collect.items())
            head = f"map {node.over} as {node.each}, {node.width} at a time, {made}"
            return f"{head} ({flow_line(node.body)})"
        case LoopNode():
            word = "while" if node.before else "until"
            head = f"loop {word} {node.condition.text}, {node.max_iterations} times"
            return f"{head} ({flow_line(node.body)})"
        case FallbackNode():
            return f"fallback {_ways(map(flow_line, node.alternatives))}"
        case CallNode():
            renamed = [f"{k} = {v}" for k, v in node.inputs.items() if k != v]
            renamed += [f"{v} = {k}" for k, v in node.outputs.items() if k != v]
            given = f" with {', '.join(renamed)}" if renamed else ""
            return f"pipeline {node.title}{given} ({flow_line(node.body)})"


def _ways(lines: Iterable[str]) -> str:
    return f"({' | '.join(lines)})"
