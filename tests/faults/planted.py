# ruff: noqa: SLF001 - a planted bug sits where nobody may look
"""Planted bugs: each breaks one promise, so that the checker can be seen to notice.

A bug is a function that replaces one method of the product in this process. Only
``tests/faults/worker_entry.py`` calls one, before it runs the ordinary command.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from aiokafka import AIOKafkaProducer

from agents import committer
from agents.execution import Execution
from agents.lanes import Lanes
from agents.pipelines import PipelineAgent
from agents.position import SourceTracker
from agents.restore import Restorer
from agents.tables import LEDGER, SESSIONS, Store
from agents.transactions import Transactor
from streams.session import Session
from streams.settlement import Progress

SOME: Final = 5
"""One in so many is hit where a bug need not hit all: rare enough to be overlooked."""


def some(number: int) -> bool:
    """Say whether *number*, an offset or a checksum, is one of those that are hit."""
    return number % SOME == SOME - 1


def early_commit() -> None:
    """A record counts as finished when it is taken, before its result is in.

    The next transaction of its task commits position and group offset behind it.
    Breaks I3 at once, and I2 when the worker dies before the result is in: that
    request is never answered.
    """
    honest = SourceTracker.deliver

    def deliver(self: SourceTracker, offset: int) -> bool:
        wanted = honest(self, offset)
        if wanted:
            self.finish(frozenset({offset}))
        return wanted

    SourceTracker.deliver = deliver


def lost_offset() -> None:
    """Some finished offsets are forgotten: neither position nor group offset has them.

    Breaks I9, which has no lag once all is answered, and I4 for the `tasks` table:
    its position record is not what the terminals add up to.
    """
    honest = committer.finished_offsets

    def finished_offsets(settlements: object) -> dict[str, frozenset[int]]:
        return {
            topic: frozenset(offset for offset in offsets if not some(offset))
            for topic, offsets in honest(settlements).items()
        }

    committer.finished_offsets = finished_offsets


def double_produce() -> None:
    """Some terminals are in their transaction twice. Breaks I1."""
    honest = Execution._settlement

    def settlement(self: Execution, records: list, writes: list) -> object:
        if some(self._arrived.record.offset):
            results = self._parts.serde.topics.results
            records = [*records, *(r for r in records if r.topic == results)]
        return honest(self, records, writes)

    Execution._settlement = settlement


def stale_restore() -> None:
    """A restored store misses the last change of its newest session.

    Breaks I4, and I5 with the next request of that session: its turn comes again.
    """
    honest = Restorer.restore

    async def restore(self: Restorer, partitions: list[int], *how: object) -> object:
        restored = await honest(self, partitions, *how)
        for partition in partitions:
            _forget_newest(self._shelf.stores[SESSIONS, partition])
        return restored

    Restorer.restore = restore


def _forget_newest(store: Store) -> None:
    sessions = [Session.unpack(key.decode(), value) for key, value in store.scan()]
    if not sessions:
        return
    newest = max(sessions, key=lambda session: session.updated_ms)
    older = Session(
        session_id=newest.session_id,
        turns=newest.turns - 1,
        updated_ms=newest.updated_ms,
        history=newest.history[:-1],
    )
    value = older.pack() if older.turns else None
    store.apply([(newest.session_id.encode(), value)], store.mark)


def skipped_dead_letter() -> None:
    """What cannot be decoded is finished without a dead letter. Breaks I8."""

    def aside(self: PipelineAgent, record: object, _code: str, _reason: str) -> object:
        return self._pending(record, ())

    PipelineAgent._aside = aside


def order_swap() -> None:
    """A request overtakes the one before it, where both wait. Breaks I5."""
    honest = Lanes.submit

    def submit(self: Lanes, key: str, work: object) -> None:
        honest(self, key, work)
        waiting = self.by_key[key].waiting
        if len(waiting) > 2:  # the first one runs already
            waiting[-1], waiting[-2] = waiting[-2], waiting[-1]

    Lanes.submit = submit


def zombie_write() -> None:
    """Some results are also written by a producer that no fence can stop.

    Breaks I10; as readers see it, I1.
    """
    honest = Transactor.commit

    async def commit(self: Transactor, records: list, offsets: dict) -> object:
        for record in records:
            if record.topic.endswith(".results") and some(crc32(record.value)):
                async with AIOKafkaProducer(bootstrap_servers=self._bootstrap) as plain:
                    await plain.send_and_wait(
                        record.topic,
                        value=record.value,
                        key=record.key,
                        partition=record.partition,
                    )
        return await honest(self, records, offsets)

    Transactor.commit = commit


def lost_journal() -> None:
    """A stage that finished in the middle of a run leaves no journal entry.

    Breaks I7 when the worker dies before the run has ended: its calls are paid again.
    """
    honest = Execution._emit

    def emit(self: Execution, progress: Progress) -> None:
        honest(self, Progress(entries=(), stage=progress.stage))

    Execution._emit = emit


def lost_ledger() -> None:
    """An answered request leaves no ledger entry.

    Breaks I4 for the `ledger` table, and I1 when its id comes again: it is answered
    twice.
    """
    honest = Execution._closing_writes

    def closing_writes(self: Execution) -> list:
        return [write for write in honest(self) if write.table != LEDGER]

    Execution._closing_writes = closing_writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A bug, and what the checker has to say of it."""

    plant: Callable[[], None]
    breaks: tuple[str, ...]
    """Invariants; a checker must name one of them, and no other."""


PLANTED: Final[Mapping[str, Planted]] = {
    "early_commit": Planted(plant=early_commit, breaks=("I2", "I3")),
    "lost_offset": Planted(plant=lost_offset, breaks=("I4", "I9")),
    "double_produce": Planted(plant=double_produce, breaks=("I1",)),
    "stale_restore": Planted(plant=stale_restore, breaks=("I4", "I5")),
    "skipped_dead_letter": Planted(plant=skipped_dead_letter, breaks=("I8",)),
    "order_swap": Planted(plant=order_swap, breaks=("I5",)),
    "zombie_write": Planted(plant=zombie_write, breaks=("I1", "I10")),
    "lost_journal": Planted(plant=lost_journal, breaks=("I7",)),
    "lost_ledger": Planted(plant=lost_ledger, breaks=("I1", "I4")),
}
"""Every bug, by the name that ``PENSTOCK_TEST_BUG`` gives."""
