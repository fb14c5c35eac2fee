"""Where in a flow something is: the names of its maps and loops.

``map.1`` is the first map of the whole flow, ``loop.2`` its second loop, in the order
in which the flow says them, whatever they are inside of.
"""

from collections import Counter

from streams.flow_shape import every_node
from streams.planned import LoopNode, MapNode, Node, NodeKind


def names_of(flow: Node) -> dict[int, str]:
    """Return the name of each map and loop in *flow*, by ``id()``.

    Nodes that are alike are equal: only their identity tells them apart.
    """
    counts: Counter[NodeKind] = Counter()
    names: dict[int, str] = {}
    for node in every_node(flow):
        if isinstance(node, MapNode | LoopNode):
            kind: NodeKind = "map" if isinstance(node, MapNode) else "loop"
            counts[kind] += 1
            names[id(node)] = f"{kind}.{counts[kind]}"
    return names
