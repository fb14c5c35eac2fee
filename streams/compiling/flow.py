"""What flows from item to item: who makes a field, who takes it, and do they fit.

A flow is followed from its beginning to its end; what does not fit is a problem at its
place. ``flow_part.py`` says what becomes of an item, ``flow_ways.py`` and
``flow_repeats.py`` follow those that hold others, ``placing.py`` the stages.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from streams.compiling.flow_fields import Scope
from streams.compiling.flow_order import is_chain, order_of
from streams.compiling.flow_part import Ground, Part, Stages, Surely
from streams.compiling.flow_repeats import loop, map_over
from streams.compiling.flow_ways import fallback, parallel, when
from streams.compiling.placing import Placed, Placing
from streams.language.flow_text import (
    FallbackItem,
    Item,
    Items,
    LoopItem,
    MapItem,
    ParallelItem,
    PipelineItem,
    StageItem,
    WhenItem,
)
from streams.language.problems import Problems
from streams.planned import Node, SequenceNode, StageNode


class Callees(Protocol):
    """The other pipelines that a flow may call."""

    def follow(self, item: PipelineItem, scope: Scope, placing: Placing) -> Part | None:
        """Return the flow of one of them; None, and a problem, if it cannot be had."""
        ...


class Flow:
    """Follows the items of one file."""

    def __init__(self, placing: Placing, callees: Callees, problems: Problems) -> None:
        self._placing = placing
        self._callees = callees
        self._placed: dict[str, Placed] = {}
        self._ground = Ground(placing=placing, problems=problems, follow=self.sequence)

    @property
    def placed(self) -> Mapping[str, Placed]:
        """The stages that it met, and those that stand in, by name in the file."""
        return {
            each.text.name: each
            for placed in self._placed.values()
            for each in placed.chain()
        }

    def sequence(self, items: Items, scope: Scope) -> Part:
        """Follow *items*, one after the other where they need each other."""
        here, parts = dict(scope), list[Part]()
        unread: dict[str, str] = {}
        for item in items:
            part = self._item(item, here)
            if part is None:
                # Said already; what it would have made may seem to be missing.
                self._placing.whole = False
                continue
            self._look_for_shadows(part, unread)
            here.update(part.makes)
            parts.append(part)
        return Part(
            reads=frozenset(n for part in parts for n in part.reads if n in scope),
            makes={name: here[name] for part in parts for name in part.makes},
            node=partial(_sequence, parts),
        )

    def _item(self, item: Item, scope: Scope) -> Part | None:  # noqa: PLR0911 - one case a kind
        match item:
            case StageItem():
                return self._stage(item.name, scope)
            case ParallelItem():
                return parallel(item, scope, self._ground)
            case WhenItem():
                return when(item, scope, self._ground)
            case MapItem():
                return map_over(item, scope, self._ground)
            case LoopItem():
                return loop(item, scope, self._ground)
            case FallbackItem():
                return fallback(item, scope, self._ground)
            case PipelineItem():
                return self._callees.follow(item, scope, self._placing)

    def _stage(self, name: str, scope: Scope) -> Part | None:
        if name not in self._placing.shelf.stages:
            return None
        placed = self._placed[name] = self._placing.stage(name, scope)
        declared = frozenset(field.name for field in placed.spec.outputs)
        return Part(
            reads=placed.reads,
            makes=placed.makes,
            node=lambda stages: StageNode(stage=stages[name]),
            surely=Surely(
                path=placed.text.path,
                maker=name,
                makes=declared & placed.makes.keys(),
            ),
        )

    def _look_for_shadows(self, part: Part, unread: dict[str, str]) -> None:
        """Note who makes again what somebody made, before anybody read it.

        *unread* is what was made in this sequence, and nobody has read yet, with its
        maker. Stages and calls by themselves surely run; other items may leave a field
        as it was.
        """
        for name in part.reads:
            unread.pop(name, None)
        shadowed = {name: unread.pop(name) for name in part.makes if name in unread}
        surely = part.surely
        if surely is None:
            return
        for name, first in shadowed.items():
            self._ground.problems.add(
                surely.path, f"makes {name} again, and nobody read what {first} made"
            )
        unread.update(dict.fromkeys(surely.makes, surely.maker))


def _sequence(parts: Sequence[Part], stages: Stages) -> Node:
    nodes = tuple(part.node(stages) for part in parts)
    if len(nodes) == 1:
        return nodes[0]
    order = order_of([(part.reads, part.makes.keys()) for part in parts])
    return SequenceNode(nodes=nodes, after=order, chain=is_chain(order))
