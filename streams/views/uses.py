"""Who makes each field of a pipeline, and who takes it."""

from collections.abc import Iterator
from typing import Any, Final

from streams.plan import Pipeline
from streams.planned import (
    CallNode,
    LoopNode,
    MapNode,
    Node,
    PlannedStage,
    StageNode,
    UseStage,
    WhenNode,
)
from streams.views.visits import Visit

Row = dict[str, Any]
"""Plain values by column, as the command line prints them."""

INPUT: Final = "the input"
OUTPUT: Final = "the output"


def field_rows(pipeline: Pipeline, visits: tuple[Visit, ...]) -> Iterator[Row]:
    """Give a row for each field of *pipeline*: its type, its makers, its takers."""
    uses = _Uses()
    for field in pipeline.inputs:
        uses.makes(field.name, INPUT, str(field.type))
    for visit in visits:
        if not visit.called:
            uses.visit(visit.node)
    for field in pipeline.outputs:
        uses.takes(field.name, OUTPUT, str(field.type))
    yield from uses.rows()


class _Uses:
    """Who makes each field, and who takes it; by field, in the order of the flow."""

    def __init__(self) -> None:
        self._types: dict[str, str] = {}
        self._makers: dict[str, list[str]] = {}
        self._takers: dict[str, list[str]] = {}

    def makes(self, name: str, who: str, kind: str = "") -> None:
        self._makers.setdefault(name, []).append(who)
        if kind or name not in self._types:
            self._types[name] = kind

    def takes(self, name: str, who: str, kind: str = "") -> None:
        self._takers.setdefault(name, []).append(who)
        # Of a list that a map makes, only its readers say the type.
        self._types[name] = self._types.get(name) or kind

    def visit(self, node: Node) -> None:  # noqa: C901 - one case a node
        """Note what *node* itself takes and makes, and not what is inside of it."""
        match node:
            case StageNode():
                self._stage(node.stage)
            case WhenNode() | LoopNode():
                for name in sorted(node.condition.reads):
                    self.takes(name, f"condition {node.condition.text}")
            case MapNode():
                self.takes(node.over, f"map {node.over}")
                self.makes(node.each, f"map {node.over}")
                for made in node.collect.values():
                    self.makes(made, f"map {node.over}")
            case CallNode():
                for ours in node.inputs.values():
                    self.takes(ours, f"pipeline {node.title}")
                for ours in node.outputs.values():
                    self.makes(ours, f"pipeline {node.title}")
            case _:
                return

    def rows(self) -> Iterator[Row]:
        for name in dict.fromkeys([*self._makers, *self._takers]):
            yield {
                "field": name,
                "type": self._types.get(name, ""),
                "made by": self._makers.get(name, []),
                "taken by": self._takers.get(name, []),
            }

    def _stage(self, stage: PlannedStage) -> None:
        kinds = {field.name: str(field.type) for field in stage.spec.inputs}
        for name in stage.takes:
            self.takes(name, stage.name, kinds.get(name, ""))
        for field in stage.outputs:
            self.makes(field.name, stage.name, str(field.type))
        if isinstance(stage.on_failure, UseStage):
            self._stage(stage.on_failure.stage)
