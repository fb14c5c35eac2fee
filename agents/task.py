"""A task: everything of one partition number on one worker.

A task has the lanes of its keys, the stores of its tables, and one transactional
producer. States, and what moves between them:

    OPENING ──claimed (Tasks.assign)──▶ LIVE ──drain──▶ DRAINING ──▶ CLOSED
                                         │
                       ReplacedError, or a store that cannot be written
                                         ▼
                                        DEAD ──drop (Tasks.assign)──▶ CLOSED

What holds: only a LIVE task takes records; a DRAINING one still publishes. A DEAD task
whose partition is still assigned to us asks for a rejoin of the group; its records wait
at the broker, none is skipped. A rebalance leaves tasks of partitions that stay alone:
their LM calls go on, and records that come again are skipped by their trackers.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from typing import Any, Final, Protocol

import structlog
from msgspec import Struct

from agents.committer import Committer, ReplacedError
from agents.lanes import Lane, Lanes, Slots, Work
from agents.mishap import mishap
from agents.pending import Overlay, Pending
from agents.position import SourceTracker
from agents.record import Record
from agents.tables import JOURNAL, DiskFullError, Store, UnreadableStoreError
from schemas.errors import UnknownSchemaError
from streams.permit import Permit

log = structlog.get_logger(__name__)

FORESEEN: Final = (ReplacedError, DiskFullError, UnreadableStoreError)
"""What a committer ends with when all is as it should be, but for the world."""

REFUSED: Final = 1_000
"""Requests remembered because runs in flight may have seen their turns; rare ones."""


class View(Protocol):
    """What a run may ask its task for."""

    @property
    def partition(self) -> int: ...

    @property
    def permit(self) -> Permit:
        """Return what is asked before a run begins anything that costs."""
        ...

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return a value: settled writes first, then what is committed."""
        ...

    def settle(self, pending: Pending) -> None:
        """Hand over a settlement; the next transaction takes it."""
        ...

    def journalled(self, run: bytes) -> Mapping[bytes, bytes]:
        """Return the journal entries that an earlier owner left for *run*."""
        ...

    def refuse(self, request_id: str) -> None:
        """Remember a request whose result Kafka never took; runs may have seen it."""
        ...

    def refused(self) -> Collection[str]:
        """Return the requests remembered by :meth:`refuse`."""
        ...


class Admitted(Struct, frozen=True, kw_only=True):
    """A record that gets a run, when its lane's turn comes."""

    key: str
    slots: Slots
    size_bytes: int
    tenant: str = ""
    priority: int = 0
    execute: "Callable[[View], Any]"
    """Returns a coroutine for the final :class:`Pending`; it never raises."""


class Handler(Protocol):
    """What a task needs from the agent of a pipeline."""

    def admit(self, record: Record) -> Admitted | Pending:
        """Say what follows from *record*: a run, or a settlement at once.

        Raises:
            UnknownSchemaError: its schema is not known; :meth:`learn` it first.
        """
        ...

    async def learn(self, error: UnknownSchemaError) -> None:
        """Wait until the schema is known, or surely not there. Does not raise."""
        ...


class State(Enum):
    """Where a task stands; see the top of this file."""

    OPENING = "opening"
    LIVE = "live"
    DRAINING = "draining"
    DEAD = "dead"
    CLOSED = "closed"


class Task:
    """Everything of one partition number on this worker."""

    def __init__(  # noqa: PLR0913 - Tasks makes it, nobody else
        self,
        partition: int,
        *,
        stores: Mapping[str, Store],
        trackers: dict[str, SourceTracker],
        committer: Committer,
        overlay: Overlay,
        permit: Permit,
        on_dead: Callable[["Task", BaseException], None],
    ) -> None:
        self.partition = partition
        self.state = State.OPENING
        self.died = False
        """Whether it ended by itself: replaced, or without a disk."""
        self.trackers = trackers
        self.permit = permit
        self.lanes = Lanes(run=self._start)
        self.committer = committer
        self._stores = stores
        self._overlay = overlay
        self._on_dead = on_dead
        self._running: set[asyncio.Task[None]] = set()
        self._held: deque[tuple[Handler, Record]] = deque()
        self._held_bytes = 0
        self._refused: deque[str] = deque(maxlen=REFUSED)
        self._learning: asyncio.Task[None] | None = None
        self._working: asyncio.Task[None] | None = None
        self._journal = _runs(stores[JOURNAL].scan())

    @property
    def running(self) -> int:
        """Runs in flight."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Records taken and not answered, the running ones included."""
        return self.lanes.records + len(self._held)

    @property
    def waiting_bytes(self) -> int:
        """Their bytes."""
        return self.lanes.size_bytes + self._held_bytes

    @property
    def span(self) -> int:
        """Widest distance between an unfinished record and the newest."""
        return max((t.span for t in self.trackers.values()), default=0)

    def go(self) -> None:
        """Begin to take records; the partition was claimed."""
        self.state = State.LIVE
        self._working = asyncio.create_task(self.committer.work())
        self._working.add_done_callback(self._worked)

    def get(self, table: str, key: bytes) -> bytes | None:
        write = self._overlay.writes.get((table, key))
        return self._stores[table].get(key) if write is None else write.value

    def settle(self, pending: Pending) -> None:
        if self.state in (State.LIVE, State.DRAINING):
            self.committer.settle(pending)

    def journalled(self, run: bytes) -> Mapping[bytes, bytes]:
        return self._journal.pop(run, {}) if self._journal else {}

    def refuse(self, request_id: str) -> None:
        self._refused.append(request_id)

    def refused(self) -> Collection[str]:
        return self._refused

    def submit(self, handler: Handler, record: Record) -> None:
        """Take a record; one that is finished, or not ours to take, is skipped."""
        if self.state is not State.LIVE:
            return
        if not self.trackers[record.topic].deliver(record.offset):
            return
        if self._held:
            self._hold(handler, record)
        else:
            self._admit(handler, record)

    def _admit(self, handler: Handler, record: Record) -> None:
        try:
            decision = handler.admit(record)
        except UnknownSchemaError as error:
            self._hold(handler, record)
            self._learning = asyncio.create_task(self._learn(handler, error))
            self._learning.add_done_callback(self._learned)
            return
        self._take(decision)

    def _hold(self, handler: Handler, record: Record) -> None:
        self._held.append((handler, record))
        self._held_bytes += record.size_bytes

    def _take(self, decision: Admitted | Pending) -> None:
        if isinstance(decision, Pending):
            self.settle(decision)
        else:
            self.lanes.submit(decision.key, decision)

    async def _learn(self, handler: Handler, error: UnknownSchemaError) -> None:
        """Let the records behind an unknown schema wait for it, in their order."""
        await handler.learn(error)
        while self._held:
            handler, record = self._held[0]
            try:
                self._take(handler.admit(record))
            except UnknownSchemaError as unknown:
                await handler.learn(unknown)
                continue
            self._held.popleft()
            self._held_bytes -= record.size_bytes

    def _start(self, lane: Lane, work: Work) -> None:
        run = asyncio.create_task(self._run(work))
        self._running.add(run)
        # Not in a finally of the run: one that is cancelled before its first step
        # never gets there, and would keep its slot for ever.
        run.add_done_callback(lambda done: self._finished(lane, done))

    async def _run(self, work: Any) -> None:
        # Settled before the lane goes on: its next record must see the writes.
        self.settle(await work.execute(self))

    def _finished(self, lane: Lane, run: "asyncio.Task[None]") -> None:
        self._running.discard(run)
        if run.cancelled():
            # Who cancels one wants no other to begin; the end of the loop is one such.
            self.lanes.close()
        self.lanes.done(lane)
        if (error := mishap(run)) is not None:
            # Executions never raise. One that did leaves its record unanswered.
            self._die(error)

    def _worked(self, working: "asyncio.Task[None]") -> None:
        error = mishap(working)
        if error is None:
            return
        if not isinstance(error, FORESEEN):
            log.error("task.committer_failed", partition=self.partition, exc_info=error)
        self._die(error)

    def _learned(self, learning: "asyncio.Task[None]") -> None:
        if (error := mishap(learning)) is not None:
            # The records that wait for it would wait for ever.
            self._die(error)

    def _die(self, error: BaseException) -> None:
        log.warning(
            "task.dead", partition=self.partition, error=repr(error.__cause__ or error)
        )
        self.state = State.DEAD
        self.died = True
        self._stop_work()
        self._on_dead(self, error)

    def _stop_work(self) -> None:
        self.lanes.close()
        self._held.clear()
        for run in self._running:
            run.cancel()
        if self._learning is not None:
            self._learning.cancel()

    async def drain(self, budget_s: float) -> None:
        """Finish what runs, within *budget_s*; commit it; publish nothing more."""
        if self.state is State.LIVE:
            self.state = State.DRAINING
        self.lanes.close()
        self._held.clear()
        if self._running:
            await asyncio.wait(self._running, timeout=budget_s)
        self._stop_work()
        await self._ended(self._running)
        self.committer.close()
        await self._close()

    async def drop(self) -> None:
        """Stop at once: the partition is somebody else's."""
        self.state = State.DEAD
        self._stop_work()
        await self._ended(self._running)
        self.committer.close(abandon=True)
        await self._close()

    async def _close(self) -> None:
        # Never cancelled inside a transaction: it ends by itself, within its timers.
        if self._working is not None:
            await asyncio.wait([self._working])
        self.state = State.CLOSED

    async def _ended(self, runs: Iterable[asyncio.Task[None]]) -> None:
        runs = set(runs)
        if runs:
            await asyncio.wait(runs)


def _runs(entries: Iterable[tuple[bytes, bytes]]) -> dict[bytes, dict[bytes, bytes]]:
    """Group journal entries by run; two zero bytes end the run in a key."""
    runs: dict[bytes, dict[bytes, bytes]] = {}
    for key, value in entries:
        run, _, entry = key.rpartition(b"\0\0")
        runs.setdefault(run, {})[entry] = value
    return runs
