"""Pipeline files made of one-line stages, and a short text for what they become."""

from streams.planned import (
    CallNode,
    FallbackNode,
    LoopNode,
    MapNode,
    ParallelNode,
    SequenceNode,
    StageNode,
    WhenNode,
)

TAKES = "ticket: str, sure: float, parts: list[str]"


def file_of(flow, *stages, output, takes=TAKES, **more):
    """Return a pipeline file; each of *stages* is ``name: a, b -> c`` and may go on."""
    lines = [
        f"pipeline: {more.pop('name', 'desk')}",
        f"version: {more.pop('version', 1)}",
        f'input: "{takes}"',
        f'output: "{output}"',
        "lms: {small: {model: scripted}}",
        *(f"{key}: {value}" for key, value in more.items()),
        "stages:",
    ]
    for stage in stages:
        name, _, rest = stage.partition(": ")
        signature, _, options = rest.partition(" & ")
        said = f", {options}" if options else ""
        lines.append(f'  {name}: {{ask: "{signature}"{said}}}')
    return "\n".join([*lines, f"flow: {flow}", ""])


def drawn(node):  # noqa: C901, PLR0911 - one case a kind
    """Return *node* as a short text: ``(a > b)``, or ``(a[], b[0])`` with who waits."""
    match node:
        case StageNode():
            return node.stage.name
        case SequenceNode(nodes=nodes, chain=True):
            return f"({' > '.join(map(drawn, nodes))})"
        case SequenceNode(nodes=nodes, after=after):
            pairs = zip(nodes, after, strict=True)
            return f"({', '.join(f'{drawn(n)}{sorted(w)}' for n, w in pairs)})"
        case ParallelNode(branches=branches):
            return f"({' | '.join(f'{n}: {drawn(b)}' for n, b in branches.items())})"
        case WhenNode(condition=asked):
            return f"({asked.text} ? {drawn(node.then)} : {drawn(node.otherwise)})"
        case MapNode():
            return f"map({drawn(node.body)}, {node.over}, {node.width})"
        case LoopNode(condition=asked, max_iterations=most):
            word = "while" if node.before else "until"
            return f"loop({drawn(node.body)}, {word} {asked.text}, {most})"
        case FallbackNode():
            return f"({' else '.join(map(drawn, node.alternatives))})"
        case CallNode():
            return f"{node.pipeline}({drawn(node.body)})"
