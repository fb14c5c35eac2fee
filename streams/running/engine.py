"""The engine: walks the nodes of a compiled flow, over the values of one run.

A node finds its values in a scope and leaves there what it makes. It ends, or raises
a :class:`~streams.failures.Failure`; whatever it had begun has ended by then. The
same values and the same journal give the same walk.
"""

import asyncio
from typing import Any

from streams.errors import StreamsError
from streams.failures import Failure
from streams.planned import (
    CallNode,
    Condition,
    FallbackNode,
    LoopNode,
    MapNode,
    Node,
    ParallelNode,
    SequenceNode,
    StageNode,
    WhenNode,
)
from streams.running.run_progress import RunProgress
from streams.running.sites import names_of
from streams.running.stage_runs import StageRuns
from streams.running.together import each_of, in_their_order
from streams.running.values import Hole, Scope


class Engine:
    """Runs the flow of one pipeline for one request."""

    __slots__ = ("_flow", "_names", "_progress", "_stages")

    def __init__(self, flow: Node, stages: StageRuns, progress: RunProgress) -> None:
        self._flow = flow
        self._stages = stages
        self._progress = progress
        self._names: dict[int, str] = {}

    async def run(self, values: dict[str, Any]) -> None:
        """Run the whole flow on *values*, which gain what it makes.

        Raises:
            Failure: the run ends with it.
        """
        await self._node(self._flow, Scope(values))

    async def _node(  # noqa: C901 - a line for each kind of node
        self, node: Node, scope: Scope
    ) -> None:
        match node:
            case StageNode():
                await self._stages.run(node.stage, scope)
            case SequenceNode():
                await self._sequence(node, scope)
            case ParallelNode():
                await self._parallel(node, scope)
            case WhenNode():
                await self._when(node, scope)
            case MapNode():
                await self._map(node, scope)
            case LoopNode():
                await self._loop(node, scope)
            case FallbackNode():
                await self._fallback(node, scope)
            case CallNode():
                await self._call(node, scope)

    async def _sequence(self, sequence: SequenceNode, scope: Scope) -> None:
        if not sequence.chain:
            nodes = sequence.nodes
            await in_their_order(lambda n: self._node(nodes[n], scope), sequence.after)
            return
        for node in sequence.nodes:
            await self._node(node, scope)

    async def _parallel(self, node: ParallelNode, scope: Scope) -> None:
        before = dict(scope.values)
        branches = [
            (branch, Scope(dict(before), scope.path))
            for branch in node.branches.values()
        ]
        await in_their_order(lambda n: self._node(*branches[n]), [()] * len(branches))
        for _, its in branches:
            scope.worked |= its.worked
            scope.take_over(its, before)

    async def _when(self, node: WhenNode, scope: Scope) -> None:
        holds = _asked(node.condition, scope)
        if isinstance(holds, Hole):
            self._stages.leave_holes(node.makes, scope, holds)
            return
        await self._node(node.then if holds else node.otherwise, scope)
        scope.complete(node.makes)

    async def _map(self, node: MapNode, scope: Scope) -> None:
        elements = scope.values[node.over]
        if isinstance(elements, Hole):
            self._stages.leave_holes(tuple(node.collect.values()), scope, elements)
            return
        name = self._named(node, scope)
        made: dict[str, list[Any]] = {
            field: [None] * len(elements) for field in node.collect
        }
        # Those that earlier workers left end in another order now: percents would go
        # back if they were told before all of them are counted.
        ended, told = 0, self._progress.told_of(name)

        async def element(index: int) -> None:
            nonlocal ended
            # Remembered elements await nothing: other runs have their turn here.
            await asyncio.sleep(0)
            its = scope.inside(f"{name}/{index}/", {node.each: elements[index]})
            await self._node(node.body, its)
            for field, values in made.items():
                values[index] = its.values[field]
            ended += 1
            scope.worked |= its.worked
            if ended > told:
                self._progress.percent(name, ended=ended, of=len(elements))

        await each_of(element, len(elements), width=node.width)
        for field, values in made.items():
            target = node.collect[field]
            can_be_none = target in node.holes_are_none
            scope.values[target] = _without_holes(values, can_be_none=can_be_none)

    async def _loop(self, node: LoopNode, scope: Scope) -> None:
        name, most = self._named(node, scope), node.max_iterations
        for index in range(most):
            if node.before and self._is_over(node, scope):
                break
            its = scope.at(f"{name}/{index}/")
            await asyncio.sleep(0)
            await self._node(node.body, its)
            if its.worked:
                # Else an earlier worker told of it.
                scope.worked = True
                self._progress.percent(name, ended=index + 1, of=most)
            if not node.before and self._is_over(node, scope):
                break
        scope.complete(node.makes)

    def _is_over(self, node: LoopNode, scope: Scope) -> bool:
        """Ask the loop's condition; a hole that it would look at ends the loop too."""
        holds = _asked(node.condition, scope)
        if isinstance(holds, Hole):
            self._stages.leave_holes(node.makes, scope, holds)
            return True
        return holds is not node.before

    async def _fallback(self, node: FallbackNode, scope: Scope) -> None:
        *others, last = node.alternatives
        for alternative in others:
            its = scope.inside(scope.path, {})
            try:
                await self._node(alternative, its)
            except Failure as failure:
                scope.worked |= its.worked
                if failure.is_final:
                    raise
                failure.__traceback__ = None  # its frames hold it: no ring
            else:
                break
        else:
            its = scope.inside(scope.path, {})
            await self._node(last, its)
        scope.worked |= its.worked
        for name in node.makes:
            scope.values[name] = its.values.get(name)

    async def _call(self, node: CallNode, scope: Scope) -> None:
        values = scope.values
        # In the first iteration of a loop, what is made further down is not there.
        given = {n: values[ours] for n, ours in node.inputs.items() if ours in values}
        its = Scope({**node.constants, **given}, scope.path)
        await self._node(node.body, its)
        scope.worked |= its.worked
        for name, ours in node.outputs.items():
            scope.values[ours] = its.values[name]

    def _named(self, node: MapNode | LoopNode, scope: Scope) -> str:
        if not self._names:
            self._names = names_of(self._flow)
        return scope.path + self._names[id(node)]


def _asked(condition: Condition, scope: Scope) -> bool | Hole:
    """Return whether *condition* holds, or the hole that it would have to look at."""
    hole = scope.first_hole(sorted(condition.reads))
    if hole is not None:
        return hole
    try:
        return condition.holds({name: scope.values[name] for name in condition.reads})
    except StreamsError as error:
        raise Failure.of(error) from error


def _without_holes(values: list[Any], *, can_be_none: bool) -> list[Any] | Hole:
    """Return a list for the outside: a hole among *values* is None, or makes it one."""
    for value in values:
        if type(value) is Hole:
            if not can_be_none:
                return value
            return [None if type(v) is Hole else v for v in values]
    return values
