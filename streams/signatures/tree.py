"""What a signature says, as written: names are not looked up yet."""

from decimal import Decimal
from typing import Any

from msgspec import Struct

from streams.signatures.tokens import Position


class Named(Struct, frozen=True, kw_only=True):
    """A name alone: ``str``, ``list``, ``None``."""

    name: str
    at: Position


class Constant(Struct, frozen=True, kw_only=True):
    """A value that is written out: ``'free'``, ``3``, ``['a']``, ``{}``."""

    value: Any
    at: Position


class Between(Struct, frozen=True, kw_only=True):
    """A range between brackets: ``0..1``, ``1..``, ``..80``; None is no bound."""

    low: float | Decimal | None
    high: float | Decimal | None
    at: Position


class Dots(Struct, frozen=True, kw_only=True):
    """Three dots, as in ``tuple[int, ...]``."""

    at: Position


class Applied(Struct, frozen=True, kw_only=True):
    """A name with arguments: ``list[str, 1..5]``, ``Literal['a', 'b']``."""

    name: str
    arguments: tuple["Argument", ...]
    at: Position


class Either(Struct, frozen=True, kw_only=True):
    """Alternatives: ``str | None``."""

    members: tuple["TypeNode", ...]
    at: Position


TypeNode = Named | Constant | Applied | Either

Argument = TypeNode | Between | Dots


class FieldNode(Struct, frozen=True, kw_only=True):
    """One field as written: ``answer: str "one sentence" = 'none'``."""

    name: str
    at: Position
    type: TypeNode | None = None
    description: str = ""
    default: Constant | None = None
