"""The worst case of a flow: how long it can take, and how often it can ask its LMs.

All attempts of every stage end with their timeout, and what stands in for a failed
stage or alternative is needed as well. Left out is what has no bound, and is not the
pipeline's: waiting for a slot, for an LM that cannot be reached, and up to a minute
whenever an LM asks for it (429).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce

from streams.language.program_file import ProgramUse
from streams.language.tools import ToolUse
from streams.language.trials import Trials
from streams.planned import (
    CallNode,
    FallbackNode,
    LoopNode,
    MapNode,
    Node,
    ParallelNode,
    PlannedStage,
    SequenceNode,
    StageNode,
    UseStage,
    WhenNode,
)
from streams.signatures.types import FieldType, Limited, ListOf, Maybe
from streams.views.amount import NOTHING, Amount

Types = Mapping[str, FieldType]
"""Of all fields of a pipeline, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """What a part of a flow can cost."""

    seconds: Amount = NOTHING
    calls: Amount = NOTHING
    """Of LMs."""
    endless: frozenset[str] = frozenset()
    """Stages without a timeout: their time is not in *seconds*."""
    uncounted: frozenset[str] = frozenset()
    """Programs of the user's: how often an attempt asks is theirs to know, and is
    counted as once."""

    def then(self, other: "Worst") -> "Worst":
        """Return the worst case of one after the other."""
        return self._with(other, self.seconds.plus(other.seconds))

    def beside(self, other: "Worst") -> "Worst":
        """Return the worst case of both at the same time."""
        return self._with(other, self.seconds.or_more(other.seconds))

    def instead(self, other: "Worst") -> "Worst":
        """Return the worst case of one of the two."""
        return Worst(
            seconds=self.seconds.or_more(other.seconds),
            calls=self.calls.or_more(other.calls),
            endless=self.endless | other.endless,
            uncounted=self.uncounted | other.uncounted,
        )

    def _with(self, other: "Worst", seconds: Amount) -> "Worst":
        return Worst(
            seconds=seconds,
            calls=self.calls.plus(other.calls),
            endless=self.endless | other.endless,
            uncounted=self.uncounted | other.uncounted,
        )


def worst_of(node: Node, types: Types) -> Worst:  # noqa: C901, PLR0911 - one case a node
    """Return what *node* can cost at most."""
    match node:
        case StageNode():
            return worst_of_stage(node.stage)
        case SequenceNode():
            return _sequence(node, types)
        case ParallelNode():
            branches = (worst_of(branch, types) for branch in node.branches.values())
            return reduce(Worst.beside, branches, Worst())
        case WhenNode():
            return worst_of(node.then, types).instead(worst_of(node.otherwise, types))
        case MapNode():
            return _map(node, types)
        case LoopNode():
            return _times(worst_of(node.body, types), node.max_iterations)
        case FallbackNode():
            tried = (worst_of(way, types) for way in node.alternatives)
            return reduce(Worst.then, tried, Worst())
        case CallNode():
            return worst_of(node.body, types)


def worst_of_stage(stage: PlannedStage, *, alone: bool = False) -> Worst:
    """Return what one stage can cost; *alone* without the one that stands in for it."""
    tries = stage.retry.attempts
    waits = (
        stage.retry.delay_after(attempt, left_s=math.inf) or 0.0
        for attempt in range(1, tries)
    )
    seconds = tries * (stage.timeout_s or 0.0) + sum(waits)
    calls = 0 if stage.lm is None else tries * calls_of_attempt(stage)
    own = Worst(
        seconds=Amount.of(seconds),
        calls=Amount.of(calls),
        endless=frozenset() if stage.timeout_s else frozenset([stage.name]),
        uncounted=frozenset([stage.name] if _is_users(stage) else ()),
    )
    if isinstance(stage.on_failure, UseStage) and not alone:
        return own.then(worst_of_stage(stage.on_failure.stage))
    return own


def calls_of_attempt(stage: PlannedStage) -> int:
    """Return how often one attempt of a stage asks its LM, at most."""
    use, trials = (stage.spec.options.get(key) for key in ("tool_use", "trials"))
    # After its last tool an LM is asked once more, for the outputs.
    once = use.max_calls + 1 if isinstance(use, ToolUse) else 1
    if not isinstance(trials, Trials):
        return once
    advice = trials.n - 1 if trials.manner == "refine" else 0
    return trials.n * once + advice


def _is_users(stage: PlannedStage) -> bool:
    use = stage.spec.options.get("program")
    return isinstance(use, ProgramUse) and use.target is not None


def _sequence(node: SequenceNode, types: Types) -> Worst:
    """Return the cost of all nodes, and the time of the longest way through them."""
    ends: list[Worst] = []
    for inner, after in zip(node.nodes, node.after, strict=True):
        begins = _latest(ends[index].seconds for index in after)
        worst = worst_of(inner, types)
        ends.append(replace(worst, seconds=worst.seconds.plus(begins)))
    return reduce(Worst.beside, ends, Worst())


def _latest(amounts: Iterable[Amount]) -> Amount:
    return reduce(Amount.or_more, amounts, NOTHING)


def _map(node: MapNode, types: Types) -> Worst:
    body, most = worst_of(node.body, types), _longest(types.get(node.over))
    if most is not None:
        rounds = math.ceil(most / node.width)
        seconds, calls = body.seconds.times(rounds), body.calls.times(most)
        return replace(body, seconds=seconds, calls=calls)
    of_list = f"of {node.over}"
    handful = of_list if node.width == 1 else f"{node.width} {of_list}"
    seconds, calls = body.seconds.per(handful), body.calls.per(of_list)
    return replace(body, seconds=seconds, calls=calls)


def _longest(kind: FieldType | None) -> int | None:
    """Return how many elements a list of this type has at most, if the type says it."""
    match kind:
        case Maybe():
            return _longest(kind.inner)
        case Limited(inner=ListOf()) if kind.high is not None:
            return int(kind.high)
        case _:
            return None


def _times(worst: Worst, number: int) -> Worst:
    seconds, calls = worst.seconds.times(number), worst.calls.times(number)
    return replace(worst, seconds=seconds, calls=calls)
