"""Lanes: first in, first out for each key, and slots shared fairly between them.

A lane runs one record at a time. Whoever has work asks for a slot; slots are granted
to tenants in turn, then by priority, then in the order of asking, and a lane that is
not empty after its run asks again, behind all others of its kind. So one hot session
gets its turn like everybody, and no more.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from agents.fair_queue import FairQueue


class Work(Protocol):
    """What waits in a lane."""

    @property
    def slots(self) -> "Slots":
        """The slots that it needs one of."""
        ...

    @property
    def size_bytes(self) -> int:
        """What it weighs while it waits."""
        ...

    @property
    def tenant(self) -> str:
        """Who asks; tenants take turns."""
        ...

    @property
    def priority(self) -> int:
        """Of a tenant's work the higher goes first."""
        ...


@dataclass(slots=True)
class Slots:
    """How many runs may be in flight; the rest wait in their lanes."""

    limit: int
    taken: int = 0
    _asking: "FairQueue[Lane]" = field(default_factory=FairQueue)

    def ask(self, lane: "Lane") -> None:
        """Start *lane*'s next record now, or when its turn comes."""
        if self.taken < self.limit:
            self.taken += 1
            lane.start()
        else:
            work = lane.waiting[0]
            self._asking.put(lane, tenant=work.tenant, priority=work.priority)

    def release(self) -> None:
        """Give a slot back; the next lane that still wants it gets it."""
        while (lane := self._asking.take()) is not None:
            if not lane.closed:
                lane.start()
                return
        self.taken -= 1


@dataclass(slots=True, eq=False)
class Lane:
    """The records of one key, in order of arrival; the first one runs."""

    key: str
    run: "Callable[[Lane, Work], None]"
    waiting: "deque[Work]" = field(default_factory=deque)
    closed: bool = False

    def start(self) -> None:
        """Run the first record; the caller holds a slot for it."""
        self.run(self, self.waiting[0])


@dataclass(slots=True)
class Lanes:
    """All lanes of one task."""

    run: Callable[[Lane, Work], None]
    """Called when a record's turn has come, with a slot taken for it."""
    records: int = 0
    """Records in lanes, the running ones included."""
    size_bytes: int = 0
    closed: bool = False
    by_key: dict[str, Lane] = field(default_factory=dict)

    def submit(self, key: str, work: Work) -> None:
        """Put *work* at the end of its lane; closed lanes take nothing."""
        if self.closed:
            return
        self.records += 1
        self.size_bytes += work.size_bytes
        lane = self.by_key.get(key)
        if lane is None:
            lane = self.by_key[key] = Lane(key, self.run)
        lane.waiting.append(work)
        if len(lane.waiting) == 1:
            work.slots.ask(lane)

    def done(self, lane: Lane) -> None:
        """Give back the slot of *lane*'s first record, and let the next one ask."""
        work = lane.waiting.popleft()
        self.records -= 1
        self.size_bytes -= work.size_bytes
        if not lane.waiting:
            del self.by_key[lane.key]
        elif not lane.closed:
            lane.waiting[0].slots.ask(lane)
        work.slots.release()

    def close(self) -> None:
        """Let no lane start anything any more; running records end on their own."""
        self.closed = True
        for lane in self.by_key.values():
            lane.closed = True
