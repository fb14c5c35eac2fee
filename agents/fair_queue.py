"""Who waits for a slot: tenants in turn, in each the most important first.

Round robin over tenants, so that one who asks for much gets no more than others who ask
at all. Within a tenant the highest priority goes first, and of one priority who came
first; but every few turns it is who has waited longest, so nobody waits for ever.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Generic, TypeVar

OLDEST_EVERY: Final = 4
"""Of a tenant's turns, one in so many is that of who has waited longest."""

ItemT = TypeVar("ItemT")


@dataclass(slots=True)
class _Tenant(Generic[ItemT]):
    """What one tenant has waiting, by priority; no deque of it is empty."""

    waiting: dict[int, deque[tuple[int, ItemT]]] = field(default_factory=dict)
    turns: int = 0

    def take(self) -> ItemT:
        self.turns += 1
        if self.turns % OLDEST_EVERY:
            priority = max(self.waiting)
        else:
            priority = min(self.waiting, key=lambda p: self.waiting[p][0][0])
        line = self.waiting[priority]
        _, item = line.popleft()
        if not line:
            del self.waiting[priority]
        return item


class FairQueue(Generic[ItemT]):
    """A queue with turns; it holds what is put in, and nothing of who is gone."""

    def __init__(self) -> None:
        self._tenants: dict[str, _Tenant[ItemT]] = {}
        self._turns: deque[str] = deque()
        self._numbers = count()

    def put(self, item: ItemT, *, tenant: str, priority: int) -> None:
        """Let *item* wait; a higher *priority* goes first."""
        found = self._tenants.get(tenant)
        if found is None:
            found = self._tenants[tenant] = _Tenant()
            self._turns.append(tenant)
        line = found.waiting.setdefault(priority, deque())
        line.append((next(self._numbers), item))

    def take(self) -> ItemT | None:
        """Return whose turn it is; None if nobody waits."""
        if not self._turns:
            return None
        name = self._turns.popleft()
        tenant = self._tenants[name]
        item = tenant.take()
        if tenant.waiting:
            self._turns.append(name)
        else:
            del self._tenants[name]
        return item
