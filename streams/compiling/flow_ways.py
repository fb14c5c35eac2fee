"""Where ways part and meet again: ``parallel``, ``when`` and ``fallback``."""

from collections.abc import Sequence

from streams.compiling.flow_fields import Known, Scope, meet, with_holes
from streams.compiling.flow_part import (
    Ground,
    Part,
    compiled,
    maker,
    never,
    reads_hole,
    reads_of,
)
from streams.language.flow_text import FallbackItem, ParallelItem, WhenItem
from streams.planned import Condition, FallbackNode, ParallelNode, WhenNode


def parallel(item: ParallelItem, scope: Scope, ground: Ground) -> Part:
    """Follow all branches: each sees what was before, behind them is what all made."""
    branches = {n: ground.follow(b, scope) for n, b in item.branches.items()}
    makes: dict[str, Known] = {}
    makers: dict[str, str] = {}
    for name, branch in branches.items():
        for field, known in branch.makes.items():
            other = makers.setdefault(field, name)
            if other != name:
                ground.problems.add(
                    f"{item.path}.parallel.{name}",
                    f"makes {field}, and so does {other} at the same time",
                )
            makes.setdefault(field, known)
    return Part(
        reads=frozenset(n for branch in branches.values() for n in branch.reads),
        makes=makes,
        node=lambda stages: ParallelNode(
            branches={n: branch.node(stages) for n, branch in branches.items()}
        ),
    )


def when(item: WhenItem, scope: Scope, ground: Ground) -> Part:
    """Follow both ways; behind them is what either made, or None."""
    condition = ground.condition(f"{item.path}.when", item.condition, scope)
    if condition is not None and not condition.reads:
        ground.problems.add(f"{item.path}.when", _never_reached(item, condition))
    then = ground.follow(item.then, scope)
    otherwise = ground.follow(item.otherwise, scope)
    makes = _met(item.path, "when", scope, [then, otherwise], ground)
    if reads_hole(condition, scope):
        makes = with_holes(makes)
    return Part(
        reads=then.reads | otherwise.reads | reads_of(condition),
        makes=makes,
        node=lambda stages: WhenNode(
            condition=compiled(condition),
            then=then.node(stages),
            otherwise=otherwise.node(stages),
            makes=tuple(makes),
        ),
    )


def fallback(item: FallbackItem, scope: Scope, ground: Ground) -> Part:
    """Follow all alternatives; behind them is what one of them made, or None."""
    parts = [ground.follow(each, scope) for each in item.alternatives]
    makes = _met(item.path, "fallback", scope, parts, ground)
    return Part(
        reads=frozenset(n for part in parts for n in part.reads),
        makes=makes,
        node=lambda stages: FallbackNode(
            alternatives=tuple(part.node(stages) for part in parts),
            makes=tuple(makes),
        ),
    )


def _met(
    path: str, what: str, scope: Scope, parts: Sequence[Part], ground: Ground
) -> Scope:
    """Return what is there after one of *parts*."""
    met = meet(scope, [part.makes for part in parts], maker(what, path))
    for name, one, other in met.clashes:
        ground.problems.add(
            f"{path}.{what}",
            f"{name} is {one.type} from {one.maker}, and {other.type} from "
            f"{other.maker}: one has to fit the other",
        )
    return met.makes


def _never_reached(item: WhenItem, condition: Condition) -> str:
    if never(condition):
        return "reads no field, and is always false: `then` is never reached"
    told = "`else` is never reached" if item.otherwise else "leave it out"
    return f"reads no field, and is always true: {told}"
