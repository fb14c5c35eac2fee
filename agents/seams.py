"""Seams: what a worker makes its producers, restorer and stores with.

They are as they seem, unless failpoints are armed (agents/failpoints.py): then the
worker gets others, and no line of what runs for each request knows of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.restore import Restorer
from agents.tables import Store
from agents.transactions import Transactor


def untouched(_path: Path, store: Store) -> Store:
    """Return *store*."""
    return store


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """What makes the parts of a worker that fail."""

    transactor: Callable[..., Transactor] = Transactor
    restorer: Callable[..., Restorer] = Restorer
    store: Callable[[Path, Store], Store] = untouched
    """Given a store that was just opened, and its folder ``<table>/<partition>``."""
