"""Where a body is followed more than once: ``map`` and ``loop``."""

from streams.compiling.field_types import item_of
from streams.compiling.flow_fields import Known, Scope, again, meet, with_holes
from streams.compiling.flow_part import (
    Ground,
    Part,
    compiled,
    maker,
    never,
    reads_hole,
    reads_of,
)
from streams.language.flow_text import LoopItem, MapItem
from streams.language.problems import meant
from streams.planned import LoopNode, MapNode
from streams.signatures.types import ListOf, Maybe


def map_over(item: MapItem, scope: Scope, ground: Ground) -> Part:
    """Follow the body of one element; behind it are the collected lists alone."""
    each = _element(item, scope, ground)
    if each is None:
        # What the body does with it cannot be judged.
        with ground.placing.in_doubt():
            body = ground.follow(item.body, scope)
    else:
        body = ground.follow(item.body, {**scope, item.each: each})
    lists = _lists(item, body, scope, each, ground)
    collect = {name: to for name, to in item.collect.items() if to in lists}
    optional = {n for n in lists if isinstance(item_of(lists[n].type), Maybe)}
    return Part(
        reads=(body.reads | {item.over}) & scope.keys(),
        makes=lists,
        node=lambda stages: MapNode(
            body=body.node(stages),
            over=item.over,
            each=item.each,
            collect=collect,
            holes_are_none=frozenset(optional),
            width=item.width,
        ),
    )


def loop(item: LoopItem, scope: Scope, ground: Ground) -> Part:
    """Follow the body as its iterations find it, the first and the others."""
    entered = _entered(item, scope, ground)
    path = f"{item.path}.{'while' if item.before else 'until'}"
    asked = ground.condition(path, item.condition, entered) if item.before else None
    body = ground.follow(item.body, entered)
    behind = {**entered, **body.makes}
    condition = asked if item.before else ground.condition(path, item.condition, behind)
    if asked is not None and never(asked):
        ground.problems.add(path, "is never true: the loop is never reached")
    ways = [body.makes, {}] if item.before else [body.makes]
    makes = meet(scope, ways, maker("loop", item.path)).makes
    if reads_hole(condition, behind):
        makes = with_holes(makes)
    return Part(
        reads=(body.reads | reads_of(condition)) & scope.keys(),
        makes=makes,
        node=lambda stages: LoopNode(
            body=body.node(stages),
            condition=compiled(condition),
            before=item.before,
            max_iterations=item.max_iterations,
            makes=tuple(makes),
        ),
    )


def _element(item: MapItem, scope: Scope, ground: Ground) -> Known | None:
    """Return the element of the list that *item* goes through."""
    if item.each in scope:
        ground.problems.add(
            f"{item.path}.each",
            f"{item.each} is there already, from {scope[item.each].maker}; choose "
            "another name",
        )
    path = f"{item.path}.over"
    known = ground.found(path, item.over, scope)
    kind = None if known is None else item_of(known.type)
    if known is not None and kind is None:
        ground.problems.add(
            path, f"{item.over} is {known.type} from {known.maker}, and must be a list"
        )
    return None if kind is None else Known(type=kind, maker=f"the list {item.over}")


def _lists(
    item: MapItem, body: Part, scope: Scope, each: Known | None, ground: Ground
) -> dict[str, Known]:
    """Return the lists that *item* collects."""
    inner = body.makes if each is None else {item.each: each, **body.makes}
    over_hole = item.over in scope and scope[item.over].hole
    lists: dict[str, Known] = {}
    for name, to in item.collect.items():
        path = f"{item.path}.collect.{name}"
        known = inner.get(name)
        if known is None:
            if ground.placing.whole and name != item.each:
                hint = meant(name, inner)
                ground.problems.add(path, f"the body makes no {name}; {hint}")
            ground.placing.whole = False
            continue
        if to in lists:
            ground.problems.add(path, f"{to} is collected twice")
        lists[to] = Known(
            type=ListOf(known.type),
            maker=maker("map", item.path),
            hole=over_hole or (known.hole and not isinstance(known.type, Maybe)),
        )
        ground.placing.made(path, to, lists[to], scope)
    return lists


def _entered(item: LoopItem, scope: Scope, ground: Ground) -> Scope:
    """Return the fields that an iteration begins with.

    What the body makes is there in the next iteration, and may be a hole if it was
    one: so the body is followed, in silence, until it begins with what it leaves.
    """
    entered = again(scope, {})
    while True:
        with ground.silence():
            makes = ground.follow(item.body, entered).makes
        following = again(scope, makes)
        if following == entered or len(following) > len(entered) + len(makes):
            return entered
        entered = following
