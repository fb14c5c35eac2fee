"""Bounds of a type, from what stands in its brackets: ``1..5``, ``'[A-Z]+'``."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

from streams.signatures.patterns import pattern_problem
from streams.signatures.scalars import is_int64
from streams.signatures.tokens import Position
from streams.signatures.tree import Argument, Between, Constant
from streams.signatures.types import (
    FLOAT,
    INT,
    STR,
    DecimalOf,
    FieldType,
    Limited,
)

Wrong = Callable[[Position, str], object]
"""Takes a problem and its place."""

Bound = float | Decimal | None


def is_limit(node: Argument) -> bool:
    """Say whether *node* is a range or a pattern, and no type."""
    match node:
        case Between():
            return True
        case Constant():
            return isinstance(node.value, str)
        case _:
            return False


def limited(
    inner: FieldType, limits: Sequence[Argument], wrong: Wrong
) -> FieldType | None:
    """Return *inner* within *limits*; None if one of them means nothing."""
    low: Bound = None
    high: Bound = None
    pattern: str | None = None
    for index, node in enumerate(limits):
        problem = _misplaced(inner, node, limits[:index])
        if problem is not None:
            wrong(node.at, problem)
            return None
        if isinstance(node, Between):
            low, high = (_bound(inner, value) for value in (node.low, node.high))
        elif isinstance(node, Constant):
            pattern = str(node.value)
    return Limited(inner, low, high, pattern) if limits else inner


def _misplaced(
    inner: FieldType, node: Argument, before: Sequence[Argument]
) -> str | None:
    if not is_limit(node):
        return f"{inner} takes no such argument"
    if any(type(other) is type(node) for other in before):
        return "a type has one range and one pattern at most"
    if isinstance(node, Between):
        return _range_problem(inner, node)
    if inner != STR:
        return f"a pattern is for str, not for {inner}"
    return pattern_problem(str(node.value)) if isinstance(node, Constant) else None


def _range_problem(inner: FieldType, node: Between) -> str | None:
    bounds = [bound for bound in (node.low, node.high) if bound is not None]
    if inner == INT:
        if not all(map(is_int64, bounds)):
            return "an int is bounded by whole numbers of 64 bits"
    elif inner == FLOAT or isinstance(inner, DecimalOf):
        if not all(map(math.isfinite, bounds)):
            return "a number is bounded by finite ones"
    elif not all(is_int64(bound) and bound >= 0 for bound in bounds):
        return "a length is bounded by whole numbers from 0"
    if bounds != sorted(bounds):
        return "a range begins with its lower bound"
    return None


def _bound(inner: FieldType, value: Bound) -> Bound:
    # 0.3 as a float is a little less than 0.3; exact numbers need exact bounds.
    if value is None:
        return None
    if isinstance(inner, DecimalOf):
        return Decimal(str(value))
    return float(value) if inner == FLOAT else value
