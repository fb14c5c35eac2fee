"""What a signature says, as written: names are not looked up yet."""

from dataclasses import dataclass
from typing import Any

from streams.signatures.tokens import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A name alone: ``str``, ``list``, ``None``."""

    name: str
    at: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A value that is written out: ``'free'``, ``3``, ``['a']``, ``{}``."""

    value: Any
    at: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """A range between brackets: ``0..1``, ``1..``, ``..80``; None is no bound."""

    low: float | None
    high: float | None
    at: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """Three dots, as in ``tuple[int, ...]``."""

    at: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A name with arguments: ``list[str, 1..5]``, ``Literal['a', 'b']``."""

    name: str
    arguments: tuple["Argument", ...]
    at: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """Alternatives: ``str | None``."""

    members: tuple["TypeNode", ...]
    at: Position


TypeNode = Named | Constant | Applied | Either

Argument = TypeNode | Between | Dots


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNode:
    """One field as written: ``answer: str "one sentence" = 'none'``."""

    name: str
    at: Position
    type: TypeNode | None = None
    description: str = ""
    default: Constant | None = None
