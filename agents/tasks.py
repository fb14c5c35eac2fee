"""Tasks: the tasks of a worker, opened and dropped as the group gives and takes.

A task is opened in one order and no other: fence the former owner (InitProducerId),
restore, read the position, claim with a token. What is read before the fence could
still change.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from agents.committer import Backoff, ClaimError, Committer, ReplacedError, Watcher
from agents.lease import Lease
from agents.origins import KEY as ORIGINS_KEY
from agents.origins import TopicRecreatedError, changed, pack, unpack
from agents.pending import Overlay
from agents.position import KEY as POSITION_KEY
from agents.position import MAX_SPAN, Position, SourcePosition, SourceTracker
from agents.record import Record
from agents.restore import NotWantedError, Restorer, Shelf, changelog
from agents.sources import read_ends, start_of
from agents.tables import TABLES, TASKS
from agents.task import Handler, State, Task
from agents.tenure import Tenure
from agents.topic_ids import topic_ids
from agents.transactions import Transactor
from streams.clock import Clock
from streams.config import Settings
from streams.settlement import Write

log = structlog.get_logger(__name__)


class Tasks:
    """The tasks of a worker; tells the edge where to read on, and what to pause."""

    def __init__(  # noqa: PLR0913 - the composition root wires it, once
        self,
        settings: Settings,
        *,
        bootstrap: str,
        shape: str,
        topics: Iterable[str],
        shelf: Shelf,
        restorer: Restorer,
        new_transactor: Callable[[int], Transactor],
        clock: Clock,
        lease: Lease,
        watcher: Watcher,
        still_assigned: Callable[[int], bool],
        rejoin: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.by_partition: dict[int, Task] = {}
        self._settings = settings
        self._bootstrap = bootstrap
        self._shape = shape
        self._topics = tuple(topics)
        self._shelf = shelf
        self._restorer = restorer
        self._new_transactor = new_transactor
        self._clock = clock
        self._lease = lease
        self._watcher = watcher
        self._still_assigned = still_assigned
        self._rejoin = rejoin
        self._on_fatal = on_fatal
        self._transactors: dict[int, Transactor] = {}
        self._lock = asyncio.Lock()
        self.draining = False
        self.opening = False

    def submit(self, handler: Handler, record: Record) -> None:
        """Hand *record* to its task; without a live one it waits at the broker."""
        task = self.by_partition.get(record.partition)
        if task is not None:
            task.submit(handler, record)

    def taken_to(self, topic: str, partition: int) -> int | None:
        """Return the first offset that has not come to its task; None without one."""
        task = self.by_partition.get(partition)
        if task is None or task.state is not State.LIVE:
            return None
        return task.trackers[topic].resume

    def live(self, partition: int) -> bool:
        """Say whether *partition* has a task that takes records."""
        task = self.by_partition.get(partition)
        return task is not None and task.state is State.LIVE

    def resume_at(self) -> dict[TopicPartition, int]:
        """Return where the consumer has to go on, for every live task."""
        return {
            TopicPartition(topic, partition): tracker.resume
            for partition, task in self.by_partition.items()
            if task.state is State.LIVE
            for topic, tracker in task.trackers.items()
        }

    def full(self) -> set[int]:
        """Return the partitions whose tasks have enough waiting for now.

        For a slot, or for a transaction: a broker that is slow, or refuses, would else
        fill the memory with answers that nobody can have.
        """
        s = self._settings
        return {
            partition
            for partition, task in self.by_partition.items()
            if task.waiting + task.committer.backlog >= s.max_waiting
            or task.waiting_bytes + task.committer.backlog_bytes >= s.max_waiting_bytes
            or task.span >= MAX_SPAN
        }

    def look(self) -> None:
        """Let tasks that have nothing to commit see whether their broker restarted."""
        for task in self.by_partition.values():
            task.committer.look()

    async def assign(self, partitions: set[int], current: Callable[[], bool]) -> None:
        """Have exactly the tasks of *partitions*, as long as this is *current*.

        Tasks that stay are not touched. A broker that is away is waited for. What is
        being opened is opened to its end if it is ours in the next assignment as well:
        a worker that joins meanwhile does not make the others begin anew.
        """
        async with self._lock:
            if self.draining:
                return
            await self._drop(partitions)
            fresh = sorted(partitions - self.by_partition.keys())
            kept = sorted(self.by_partition)
            backoff = Backoff()

            def wanted() -> bool:
                ours = all(map(self._still_assigned, fresh))
                return ours and not self.draining

            self.opening = bool(fresh)
            while fresh and current() and not self.draining:
                try:
                    await self._open(fresh, wanted)
                    break
                except NotWantedError:
                    await self._discard(fresh)
                except (KafkaError, TimeoutError, OSError, ClaimError) as error:
                    log.warning("tasks.open_failed", fresh=fresh, error=repr(error))
                    await self._discard(fresh)
                    await asyncio.sleep(backoff.next_s())
                except ReplacedError:
                    # A rival is alive; the group will tell us whose they are.
                    await self._discard(fresh)
                    await asyncio.sleep(backoff.next_s())
            self.opening = False
            running = sum(self.by_partition[p].running for p in kept)
            log.info("tasks.assigned", kept=kept, fresh=fresh, running=running)

    async def drain(self) -> None:
        """Finish, commit and close every task, within the drain budget."""
        self.draining = True
        async with self._lock:
            budget_s = self._settings.drain_s
            tasks = list(self.by_partition.values())
            await asyncio.gather(*(task.drain(budget_s) for task in tasks))
            await self._discard(list(self.by_partition))
            log.info("tasks.drained", partitions=[task.partition for task in tasks])

    async def _drop(self, partitions: set[int]) -> None:
        gone = [
            partition
            for partition, task in self.by_partition.items()
            if partition not in partitions or task.state is not State.LIVE
        ]
        await asyncio.gather(*(self.by_partition[p].drop() for p in gone))
        await self._discard(gone)

    async def _discard(self, partitions: Iterable[int]) -> None:
        """Close producers and stores of *partitions*, which have no work left."""
        gone = list(partitions)
        transactors = [self._transactors.pop(p, None) for p in gone]
        await asyncio.gather(*(t.close() for t in transactors if t is not None))
        for partition in gone:
            task = self.by_partition.pop(partition, None)
            # Only what had a task to its end was up to its changelogs until now.
            whole = task is not None and not task.died
            seen_ms = self._clock.now_ms() if whole else None
            self._shelf.close_partition(partition, seen_ms=seen_ms)

    async def _open(self, fresh: list[int], wanted: Callable[[], bool]) -> None:
        """Fence former owners, then restore, then read positions, then claim."""
        for partition in fresh:
            self._transactors[partition] = self._new_transactor(partition)
        await _all(self._transactors[p].renew() for p in fresh)
        tps = [TopicPartition(t, p) for t in self._topics for p in fresh]
        restoring = asyncio.ensure_future(self._restorer.restore(fresh, wanted))
        reading = asyncio.ensure_future(
            read_ends(self._bootstrap, self._settings.group, tps)
        )
        asking = asyncio.ensure_future(topic_ids(self._bootstrap, self.known_topics()))
        await _all([restoring, reading, asking])
        restored, ends, ids = restoring.result(), reading.result(), asking.result()
        log.info(
            "tasks.restored",
            partitions=fresh,
            records=restored.records,
            seconds=round(restored.seconds, 3),
        )
        tasks, behind, origins = {}, {}, {}
        for partition in fresh:
            before = unpack(self._shelf.stores[TASKS, partition].get(ORIGINS_KEY))
            anew = self._made_anew(partition, before, ids)
            origins[partition] = Write(
                table=TASKS, key=ORIGINS_KEY, value=pack({**before, **ids})
            )
            stored = self._shelf.stores[TASKS, partition].get(POSITION_KEY)
            position = Position.unpack(stored) if stored else None
            trackers = {
                topic: SourceTracker(
                    SourcePosition(next=ends.begins[TopicPartition(topic, partition)])
                    if topic in anew
                    else start_of(
                        TopicPartition(topic, partition),
                        position,
                        ends,
                        latest=self._settings.auto_offset_reset == "latest",
                        accept_loss=self._settings.accept_loss,
                    )
                )
                for topic in self._topics
            }
            dormant = position.dormant(self._topics) if position else {}
            tasks[partition] = self._task(partition, trackers, dormant)
            behind[partition] = ends.behind(self._topics, partition, position)
        token = secrets.token_hex(8)
        await _all(
            task.committer.claim(token, [origins[partition]], behind[partition])
            for partition, task in tasks.items()
        )
        for partition, task in tasks.items():
            self.by_partition[partition] = task
            task.go()

    def known_topics(self) -> tuple[str, ...]:
        """Return the topics that our positions and tables are about."""
        tables = (changelog(self._settings.group, table) for table in TABLES)
        return (*self._topics, *tables)

    def _made_anew(
        self, partition: int, before: Mapping[str, str], ids: Mapping[str, str]
    ) -> frozenset[str]:
        """Return the topics that are not those which the last owners knew, *before*.

        Raises:
            TopicRecreatedError: there are some, and nobody accepted that.
        """
        anew = changed(before, ids)
        if anew and not self._settings.accept_loss:
            raise TopicRecreatedError(anew)
        for topic in anew:
            log.warning("topic.recreated", topic=topic, partition=partition)
        return anew

    def _task(
        self,
        partition: int,
        trackers: dict[str, SourceTracker],
        dormant: Mapping[str, SourcePosition],
    ) -> Task:
        stores = {table: self._shelf.stores[table, partition] for table in TABLES}
        overlay, tenure = Overlay(), Tenure(self._lease, partition)
        committer = Committer(
            partition=partition,
            group=self._settings.group,
            shape=self._shape,
            transactor=self._transactors[partition],
            stores=stores,
            trackers=trackers,
            dormant=dormant,
            overlay=overlay,
            tenure=tenure,
            clock=self._clock,
            watcher=self._watcher,
            interval_s=self._settings.commit_interval_s,
            still_mine=lambda: self._still_assigned(partition),
            catch_up=lambda: self._catch_up(partition),
        )
        return Task(
            partition,
            stores=stores,
            trackers=trackers,
            committer=committer,
            overlay=overlay,
            permit=tenure,
            on_dead=self._dead,
        )

    async def _catch_up(self, partition: int) -> None:
        await self._restorer.catch_up(partition)

    def _dead(self, task: Task, error: BaseException) -> None:
        if not isinstance(error, ReplacedError):
            self._on_fatal(error)
        elif self._still_assigned(task.partition):
            self._rejoin()


async def _all(works: Iterable[Awaitable[object]]) -> None:
    """Return once all *works* have ended, well or not; raise what one of them raised.

    `asyncio.gather` raises at the first error and lets the others go on: each would
    make a producer that nobody closes, and that fences its successor.
    """
    ends = await asyncio.gather(*works, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a task holds; a snapshot for metrics and health."""

    partition: int
    state: str
    running: int
    waiting: int
    waiting_bytes: int
    unsettled: int
    progress_s: float = field(default=0.0)
    """Monotonic time of the last commit."""


def snapshot(tasks: Tasks) -> list[Held]:
    """Return what every task holds now."""
    return [
        Held(
            partition=partition,
            state=task.state.value,
            running=task.running,
            waiting=task.waiting - task.running,
            waiting_bytes=task.waiting_bytes,
            unsettled=task.committer.backlog,
            progress_s=task.committer.last_progress_s,
        )
        for partition, task in sorted(tasks.by_partition.items())
    ]
