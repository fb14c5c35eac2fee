"""Flows made by hand, of nodes around stages that a pipeline file made."""

from dataclasses import dataclass, replace

from streams.planned import PlannedStage, SequenceNode, StageNode


def node_of(part):
    """Return *part* as a node, if it is a stage."""
    return StageNode(stage=part) if isinstance(part, PlannedStage) else part


def chain(*parts):
    """Return the node that runs *parts*, stages or nodes, one after the other."""
    after = tuple(frozenset(range(index)) for index in range(len(parts)))
    return SequenceNode(nodes=tuple(map(node_of, parts)), after=after, chain=True)


def chained(pipeline, *stages):
    """Return *pipeline* with a flow of *stages*, one after the other."""
    return replace(pipeline, stages=stages, flow=chain(*stages))


@dataclass
class When:
    """A condition in Python."""

    holds_: object
    reads: frozenset
    text: str = "python"

    def holds(self, values):
        return self.holds_(values)
