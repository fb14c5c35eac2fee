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
class Applied:
    """A name with arguments: ``list[str]``, ``Literal['a', 'b']``."""

    name: str
    arguments: tuple["TypeNode", ...]
    at: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """Alternatives: ``str | None``."""

    members: tuple["TypeNode", ...]
    at: Position


TypeNode = Named | Constant | Applied | Either


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNode:
    """One field as written: ``answer: str "one sentence" = 'none'``."""

    name: str
    at: Position
    type: TypeNode | None = None
    description: str = ""
    default: Constant | None = None
