"""The committer: gathers the settlements of a task and makes them true.

One transaction at a time, every few tens of milliseconds. States:

    IDLE ──settle──▶ GATHERING ────pace────▶ COMMITTING ──Committed──▶ IDLE
                                                 │
                       NotCommitted or InDoubt   │   Fenced
                     ┌───────────────────────────┴──────────────▶ DEAD
                     ▼
                  DOUBT ── new producer, position record read ──▶ committed | again
                     └──────── another token: replaced ─────────▶ DEAD

What holds: a settlement is never dropped while the task lives; it is sent again only
when it is surely not in; a store is written only after its transaction is in. DEAD is
final, and publishes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from agents.pace import Pace
from agents.pending import Group, Overlay, Pending, finished_offsets, size_of
from agents.position import KEY as POSITION_KEY
from agents.position import Position, SourcePosition, SourceTracker
from agents.restore import changelog
from agents.tables import TASKS, Change, Store, StoreMark
from agents.tenure import Tenure
from agents.transactions import (
    Committed,
    Fenced,
    InDoubt,
    NotCommitted,
    Outcome,
    Outgoing,
    Transactor,
)
from streams.clock import Clock
from streams.settlement import Settlement, Write

log = structlog.get_logger(__name__)

OFFSETS_EVERY_S: Final = 1.0
"""How often a task commits its group offsets along. They are a copy of the position
record, for tools that show lag; a copy in every transaction would cost two of its five
requests, and three of its sixteen appends at the broker."""


class Watcher(Protocol):
    """What the committer tells about each transaction."""

    def committed(self, settlements: int, records: int, seconds: float) -> None: ...

    def doubted(self, outcome: str) -> None: ...

    def held(self, partition: int, *, held: bool) -> None: ...


class ReplacedError(Exception):
    """Another worker owns this partition now: publish nothing more."""


class Committer:
    """Group commit for one task."""

    def __init__(  # noqa: PLR0913 - the composition root wires it, once
        self,
        *,
        partition: int,
        group: str,
        shape: str,
        transactor: Transactor,
        stores: Mapping[str, Store],
        trackers: Mapping[str, SourceTracker],
        dormant: Mapping[str, SourcePosition],
        overlay: Overlay,
        tenure: Tenure,
        clock: Clock,
        watcher: Watcher,
        interval_s: float,
        still_mine: Callable[[], bool],
        catch_up: Callable[[], Awaitable[None]],
        offsets_every_s: float = OFFSETS_EVERY_S,
    ) -> None:
        """*dormant* is where topics stand that no pipeline reads any more, by topic.

        The position keeps them: a pipeline that comes back goes on there.
        """
        self.partition = partition
        self._group = group
        self._shape = shape
        self._transactor = transactor
        self._stores = stores
        self._trackers = trackers
        self._dormant = dormant
        self._overlay = overlay
        self._tenure = tenure
        self._clock = clock
        self._watcher = watcher
        self._pace = Pace(interval_s)
        self._still_mine = still_mine
        self._catch_up = catch_up
        self._offsets_every_s = offsets_every_s
        self._pending: list[Pending] = []
        self._in_flight = 0
        self._pending_bytes = 0
        self._in_flight_bytes = 0
        self._wake = asyncio.Event()
        tenure.on_doubt = self._wake.set
        self._closing = False
        self._abandoned = False
        self._owed: dict[str, int] = {}
        """Group offsets that are not in yet, by topic."""
        self._sending: dict[str, int] = {}
        """Those that ride in the transaction on its way."""
        self._offsets_due = True
        self._token = ""
        self._number = 0
        self.last_progress_s = clock.monotonic_s()

    @property
    def backlog(self) -> int:
        """Settlements that wait for their transaction."""
        return len(self._pending) + self._in_flight

    @property
    def backlog_bytes(self) -> int:
        """What they publish and write."""
        return self._pending_bytes + self._in_flight_bytes

    def settle(self, pending: Pending) -> None:
        """Take a settlement; it is true once its transaction is in."""
        if not self.backlog:
            self.last_progress_s = self._clock.monotonic_s()
        self._overlay.add(pending.settlement.writes)
        self._pending.append(pending)
        self._pending_bytes += size_of(pending.settlement)
        self._wake.set()

    async def claim(
        self, token: str, writes: Sequence[Write] = (), behind: Iterable[str] = ()
    ) -> None:
        """Write *token* in a first transaction of its own: the partition is ours.

        *writes* go with it, and the group offsets of the topics *behind*, which the
        last owner did not come to commit: nobody else will, until a request comes.

        Raises:
            ReplacedError: somebody else claimed it meanwhile.
            KafkaError: the broker did not take it; claim again.
        """
        self._token, self._number = token, 0
        self._owed = dict.fromkeys(behind, 0)
        group = replace(self._group_of(()), writes=tuple(writes))
        match await self._attempt(group):
            case Committed() as done:
                self._apply(done, group)
            case Fenced() as outcome:
                raise ReplacedError from outcome.error
            case NotCommitted() | InDoubt() as outcome:
                raise ClaimError from outcome.error

    async def work(self) -> None:
        """Commit until :meth:`close`, or until the partition is somebody else's.

        Raises:
            ReplacedError: nothing may be published for this partition any more.
            DiskFullError: a store could not be written; its changelog has it all.
        """
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not self._closing:
                    await asyncio.sleep(self._pace.wait_s(self._clock.monotonic_s()))
                await self.flush()
                # What was settled during a transaction is not left behind.
                if self._closing and not self._pending:
                    return
        finally:
            self._watcher.held(self.partition, held=False)

    def look(self) -> None:
        """Commit soon, even nothing, if the last transaction may have lost markers."""
        if self._transactor.lost_touch:
            self._wake.set()

    async def flush(self) -> None:
        """Commit everything that is pending now."""
        batch, self._pending = self._pending, []
        self._in_flight_bytes, self._pending_bytes = self._pending_bytes, 0
        self._in_flight = len(batch)
        owing = self._owed and self._offsets_now()
        unsure = self._transactor.lost_touch or self._tenure.doubtful
        if batch or owing or unsure:
            await self._commit(batch)
        self._in_flight = self._in_flight_bytes = 0

    def _offsets_now(self) -> bool:
        """Say whether the next transaction takes group offsets along."""
        return (self._offsets_due or self._closing) and not self._abandoned

    def close(self, *, abandon: bool = False) -> None:
        """Let :meth:`work` end, after what is pending; with *abandon*, without it."""
        if abandon:
            self._pending.clear()
            self._pending_bytes = 0
            self._abandoned = True
        self._closing = True
        self._wake.set()

    async def _commit(self, batch: Sequence[Pending]) -> None:
        """Make *batch* true together; if the broker refuses one of it, one by one."""
        if await self._together(batch) is None:
            return
        for pending in batch:
            await self._alone(pending)

    async def _together(self, batch: Sequence[Pending]) -> NotCommitted | None:
        """Commit *batch* in one transaction; return the refusal of one of its records.

        Raises:
            ReplacedError: the partition is somebody else's.
        """
        backoff = Backoff()
        while True:
            self._number += 1
            began_s = self._clock.monotonic_s()
            group = self._group_of([pending.settlement for pending in batch])
            outcome = await self._attempt(group)
            match outcome:
                case Committed():
                    self._apply(outcome, group)
                    self._report(group, began_s)
                    return None
                case Fenced():
                    raise ReplacedError from outcome.error
                case NotCommitted() | InDoubt():
                    if await self._resolve(outcome, group):
                        self._report(group, began_s)
                        return None
            if isinstance(outcome, NotCommitted) and outcome.records_fault:
                return outcome
            # Not the record's fault (a topic is missing, a permission was lost, the
            # broker is away): nothing is skipped, the task holds until it is mended.
            await self._hold(backoff)

    async def _alone(self, pending: Pending) -> None:
        """Settle one record that may be the culprit, or what stands for it."""
        backoff = Backoff()
        while True:
            refusal = await self._together([pending])
            if refusal is None:
                return
            reason = f"{refusal.topic}: {refusal.error}"
            log.warning("settlement.refused", partition=self.partition, reason=reason)
            instead = pending.instead(reason)
            if instead is None:
                await self._hold(backoff)
                continue
            self._overlay.replace(pending.settlement.writes, instead.settlement.writes)
            pending = instead

    async def _hold(self, backoff: "Backoff") -> None:
        """Wait before the next try, visibly, unless nobody wants one any more."""
        self._watcher.held(self.partition, held=True)
        if not self._abandoned:
            await asyncio.sleep(backoff.next_s())
        if self._abandoned:
            raise ReplacedError

    def _group_of(self, settlements: Sequence[Settlement]) -> Group:
        finished = finished_offsets(settlements)
        last = {(w.table, w.key): w for s in settlements for w in s.writes}
        return Group(
            settlements=tuple(settlements),
            writes=tuple(last.values()),
            finished=finished,
            position=Position(
                token=self._token,
                number=self._number,
                shape=self._shape,
                sources={
                    **self._dormant,
                    **{
                        topic: tracker.position(finished.get(topic, frozenset()))
                        for topic, tracker in self._trackers.items()
                    },
                },
            ),
        )

    async def _attempt(self, group: Group) -> Outcome:
        # Group offsets only for topics that advanced; the record has them all.
        self._sending = {}
        if self._offsets_now():
            self._sending = self._owed_with(group)
        offsets = {
            TopicPartition(topic, self.partition): following
            for topic, following in self._sending.items()
        }
        era = self._tenure.era()
        outcome = await self._transactor.commit(self._records(group), offsets)
        if isinstance(outcome, Committed):
            self._tenure.prove(era)
        return outcome

    def _owed_with(self, group: Group) -> dict[str, int]:
        """Return the group offsets that are owed once *group* is in."""
        sources = group.position.sources
        return {t: sources[t].next for t in (*self._owed, *group.finished)}

    def _records(self, group: Group) -> list[Outgoing]:
        records = [
            Outgoing(
                topic=record.topic,
                partition=(
                    self.partition if record.partition is None else record.partition
                ),
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_ms=record.timestamp_ms,
            )
            for settlement in group.settlements
            for record in settlement.records
        ]
        records += [self._change(w.table, w.key, w.value) for w in group.writes]
        records.append(self._change(TASKS, POSITION_KEY, group.position.pack()))
        return records

    def _change(self, table: str, key: bytes, value: bytes | None) -> Outgoing:
        topic = changelog(self._group, table)
        return Outgoing(topic=topic, partition=self.partition, key=key, value=value)

    def _apply(self, done: Committed, group: Group) -> None:
        """Write what the transaction made true, then let the overlay go."""
        changes: dict[str, list[Change]] = {table: [] for table in self._stores}
        for write in group.writes:
            changes[write.table].append((write.key, write.value))
        changes[TASKS].append((POSITION_KEY, group.position.pack()))
        for table, store in self._stores.items():
            tp = TopicPartition(changelog(self._group, table), self.partition)
            if tp in done.next_offsets:
                mark = self._mark(store, done.next_offsets[tp])
                store.apply(changes[table], mark)
        self._finish(group)

    def _mark(self, store: Store, following: int) -> StoreMark:
        return StoreMark(
            next=following,
            seen_ms=self._clock.now_ms(),
            changelog_id=store.mark.changelog_id,
        )

    def _finish(self, group: Group) -> None:
        self._owed = {} if self._sending else self._owed_with(group)
        if self._sending and self._offsets_every_s:
            self._offsets_due = False
            loop = asyncio.get_running_loop()
            loop.call_later(self._offsets_every_s, self._remind)
        for topic, offsets in group.finished.items():
            self._trackers[topic].finish(offsets)
        for settlement in group.settlements:
            self._overlay.discard(settlement.writes)

    def _remind(self) -> None:
        """Let group offsets be committed again, even if nothing else happens."""
        self._offsets_due = True
        if self._owed:
            self._wake.set()

    def _report(self, group: Group, began_s: float) -> None:
        self.last_progress_s = self._clock.monotonic_s()
        records = sum(len(settlement.records) for settlement in group.settlements)
        seconds = self.last_progress_s - began_s
        self._pace.committed(took_s=seconds, at_s=self.last_progress_s)
        self._watcher.committed(len(group.settlements), records, seconds)
        self._watcher.held(self.partition, held=False)

    async def _resolve(self, outcome: NotCommitted | InDoubt, group: Group) -> bool:
        """Find out whether the doubtful transaction is in; True if it is.

        Raises:
            ReplacedError: the group, or the token in the record, says so.
        """
        doubt = isinstance(outcome, InDoubt)
        log.warning(
            "commit.in_doubt" if doubt else "commit.failed",
            partition=self.partition,
            number=self._number,
            error=repr(outcome.error),
        )
        position = await self._read_position()
        if position.token != self._token:
            self._watcher.doubted("replaced")
            raise ReplacedError from outcome.error
        is_in = position.number == self._number
        if doubt:
            self._watcher.doubted("committed" if is_in else "not_committed")
        if is_in:
            # The stores have it already: catching up read it from the changelogs.
            self._finish(group)
        return is_in

    async def _read_position(self) -> Position:
        """Return the position record, once no older transaction can change it."""
        backoff = Backoff()
        while True:
            if not self._still_mine():
                self._watcher.doubted("replaced")
                raise ReplacedError
            try:
                await self._transactor.renew()
                await self._catch_up()
                break
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning(
                    "commit.broker_away", partition=self.partition, error=repr(error)
                )
                await self._hold(backoff)
        stored = self._stores[TASKS].get(POSITION_KEY)
        if stored is None:
            raise ReplacedError
        return Position.unpack(stored)


class ClaimError(Exception):
    """The first transaction of an owner did not go through."""


@dataclass(slots=True)
class Backoff:
    """Waits between tries that are nobody's fault: longer each time, capped."""

    LONGEST_S = 5.0
    _next_s: float = 0.1

    def next_s(self) -> float:
        """Return how long to wait now, in seconds."""
        now_s, self._next_s = self._next_s, min(self._next_s * 2, self.LONGEST_S)
        return now_s
