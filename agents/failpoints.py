"""Failpoints: where a fault test lets a worker die, stop, wait or err.

``PENSTOCK_FAILPOINTS`` arms them (agents/failpoint_rules.py says how it is written).
Chances follow ``PENSTOCK_FAILPOINTS_SEED``; the seed in use is logged, so that a run
can be had again. A worker without that variable never imports this module: its seams
(agents/seams.py) hold the parts themselves.
"""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from agents.failpoint_rules import RULES, Rule, rules_of
from agents.restore import Restored, Restorer, always, changelog
from agents.seams import Seams
from agents.tables import JOURNAL, Change, DiskFullError, Store, StoreMark
from agents.transactions import Committed, InDoubt, Outcome, Outgoing, Transactor

log = structlog.get_logger(__name__)

SEED: Final = "PENSTOCK_FAILPOINTS_SEED"


class LostReplyError(KafkaError):  # type: ignore[misc] # aiokafka has no types
    """EndTxn went well, and we act as if nobody had told us."""


@dataclass(slots=True)
class Failpoints:
    """The armed points of a process, and how often each was passed."""

    rules: tuple[Rule, ...]
    passages: dict[str, int] = field(default_factory=dict)

    async def reach(self, point: str) -> None:
        """Pass *point* on the event loop, which goes on while we sleep.

        Raises:
            KafkaError: a rule says so.
        """
        for rule in self._due(point):
            if rule.action == "sleep":
                await asyncio.sleep(rule.sleep_s)
            else:
                _act(rule, Path())

    def reach_blocking(self, point: str, path: Path) -> None:
        """Pass *point* in a store below *path*, where nothing else goes on.

        Raises:
            DiskFullError: a rule says so.
            KafkaError: a rule says so.
        """
        for rule in self._due(point):
            if rule.action == "sleep":
                time.sleep(rule.sleep_s)
            else:
                _act(rule, path)

    def _due(self, point: str) -> list[Rule]:
        number = self.passages[point] = self.passages.get(point, 0) + 1
        due = [r for r in self.rules if r.point == point and r.when(number)]
        for rule in due:
            log.warning(
                "failpoint.hit", point=point, action=rule.action, passage=number
            )
        return due


def _act(rule: Rule, path: Path) -> None:
    match rule.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "enospc":
            reason = "No space left on device"
            raise DiskFullError(
                path, f"IO error: {reason}: While appending to file: 000008.log"
            )
        case "drop-reply":
            raise LostReplyError(rule.text)
        case _:
            raise KafkaError(rule.text)


def armed(env: Mapping[str, str]) -> Seams:
    """Return the seams of a worker with the failpoints that *env* names.

    Raises:
        ConfigError: a rule cannot be read; the line says which points there are.
    """
    seed = env.get(SEED) or str(secrets.randbits(32))
    rules = rules_of(env[RULES], seed)
    log.warning("failpoints.armed", rules=[rule.text for rule in rules], seed=seed)
    return seams_of(Failpoints(rules))


def seams_of(points: Failpoints) -> Seams:
    """Return seams whose parts pass *points*."""
    restoring: set[int] = set()
    return Seams(
        transactor=partial(FailingTransactor, points),
        restorer=partial(FailingRestorer, restoring),
        store=lambda path, store: FailingStore(points, restoring, path, store),
    )


class FailingTransactor(Transactor):
    """A producer that passes the points of claims, commits and journal entries."""

    def __init__(self, points: Failpoints, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._points = points
        self._claimed = False
        self._journals = False

    async def renew(self) -> None:
        await super().renew()
        if not self._claimed:
            await self._points.reach("claim.after_init")

    async def commit(
        self, records: Sequence[Outgoing], offsets: Mapping[TopicPartition, int]
    ) -> Outcome:
        topic = changelog(self._group, JOURNAL)
        self._journals = any(r.topic == topic and r.value is not None for r in records)
        return await super().commit(records, offsets)

    async def _fill(
        self, records: Sequence[Outgoing], offsets: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        await self._reach("before_begin", journal="journal.before")
        filled = await super()._fill(records, offsets)
        if self._claimed:
            await self._points.reach("commit.before_end")
        return filled

    async def _end(self, next_offsets: dict[TopicPartition, int]) -> Outcome:
        outcome = await super()._end(next_offsets)
        if isinstance(outcome, Committed):
            try:
                await self._reach("after_end", journal="journal.after")
            except LostReplyError as error:
                return InDoubt(error=error)
            self._claimed = True
        return outcome

    async def _reach(self, moment: str, *, journal: str) -> None:
        whose = "commit" if self._claimed else "claim"
        await self._points.reach(f"{whose}.{moment}")
        if self._journals:
            await self._points.reach(journal)


class FailingRestorer(Restorer):
    """A restorer that lets stores know which partitions it is at."""

    def __init__(self, restoring: set[int], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._restoring = restoring

    async def restore(
        self, partitions: Iterable[int], wanted: Callable[[], bool] = always
    ) -> Restored:
        found = set(partitions)
        self._restoring |= found
        try:
            return await super().restore(found, wanted)
        finally:
            self._restoring -= found

    async def catch_up(self, partition: int) -> None:
        self._restoring.add(partition)
        try:
            await super().catch_up(partition)
        finally:
            self._restoring.discard(partition)


class FailingStore:
    """A store that passes the points of its writes; a mark alone passes none."""

    def __init__(
        self, points: Failpoints, restoring: set[int], path: Path, store: Store
    ) -> None:
        self._points = points
        self._restoring = restoring
        self._path = path
        self._partition = int(path.name)
        self._store = store

    @property
    def mark(self) -> StoreMark:
        return self._store.mark

    def get(self, key: bytes) -> bytes | None:
        return self._store.get(key)

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        return self._store.scan()

    def close(self) -> None:
        self._store.close()

    def load(self, changes: Iterable[Change], seen_ms: int) -> None:
        self._points.reach_blocking("restore.apply", self._path)
        self._store.load(changes, seen_ms)

    def flush(self) -> None:
        self._store.flush()

    @property
    def flushing(self) -> bool:
        return self._store.flushing

    def apply(self, changes: Iterable[Change], mark: StoreMark) -> None:
        changes = list(changes)
        if not changes:
            self._store.apply(changes, mark)
        elif self._partition in self._restoring:
            self._points.reach_blocking("restore.apply", self._path)
            self._store.apply(changes, mark)
        else:
            self._points.reach_blocking("store.apply", self._path)
            self._store.apply(changes, mark)
            self._points.reach_blocking("store.applied", self._path)
