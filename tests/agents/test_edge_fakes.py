"""The fakes of the edge's tests: a broker that keeps what was committed, no more."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from agents.restore import changelog
from agents.tables import Change, Store, StoreMark
from agents.transactions import (
    Committed,
    Fenced,
    InDoubt,
    NotCommitted,
    Outcome,
    Outgoing,
)

GROUP = "penstock-main"


@dataclass(frozen=True)
class Transaction:
    """What one transaction made true."""

    records: tuple[Outgoing, ...]
    offsets: Mapping[TopicPartition, int]


@dataclass
class FakeKafka:
    """One broker: logs with markers in them, group offsets, producer epochs."""

    logs: dict[TopicPartition, list[Outgoing | None]] = field(default_factory=dict)
    """None stands for what no reader sees: markers, and aborted records."""
    group: dict[TopicPartition, int] = field(default_factory=dict)
    transactions: list[Transaction] = field(default_factory=list)
    epochs: dict[str, int] = field(default_factory=dict)
    refuses: Callable[[Outgoing], BaseException | None] = lambda _: None
    away: bool = False

    def write(self, records: Sequence[Outgoing], *, visible: bool) -> dict:
        """Append *records* and their markers; return the offsets behind them."""
        following: dict[TopicPartition, int] = {}
        for record in records:
            tp = TopicPartition(record.topic, record.partition)
            log = self.logs.setdefault(tp, [])
            log.append(record if visible else None)
            following[tp] = len(log)
        for tp in following:
            self.logs[tp].append(None)
        return following

    def commit(
        self, records: Sequence[Outgoing], offsets: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        self.group.update(offsets)
        self.transactions.append(Transaction(tuple(records), dict(offsets)))
        return self.write(records, visible=True)

    def read(self, topic: str, partition: int = 0) -> list[Outgoing]:
        """Return what a read_committed consumer sees."""
        log = self.logs.get(TopicPartition(topic, partition), [])
        return [record for record in log if record is not None]

    def values(self, topic: str, partition: int = 0) -> list[bytes | None]:
        return [record.value for record in self.read(topic, partition)]

    def table(self, name: str, partition: int = 0) -> dict[bytes, bytes]:
        """Return a changelog folded into the table that it stands for."""
        table: dict[bytes, bytes] = {}
        for record in self.read(changelog(GROUP, name), partition):
            assert record.key is not None
            if record.value is None:
                table.pop(record.key, None)
            else:
                table[record.key] = record.value
        return table

    def catch_up(self, stores: Mapping[str, Store], partition: int = 0) -> None:
        """Bring *stores* up to their changelogs, as a restore does."""
        for name, store in stores.items():
            log = self.logs.get(TopicPartition(changelog(GROUP, name), partition), [])
            tail = [r for r in log[store.mark.next :] if r is not None]
            changes = [(r.key or b"", r.value) for r in tail]
            store.apply(changes, StoreMark(next=len(log), seen_ms=1))


Doing = Callable[["FakeTransactor", Sequence[Outgoing], Mapping], Outcome]


def lost_reply(transactor, records, offsets) -> Outcome:
    """The commit is in, and nobody says so."""
    transactor.kafka.commit(records, offsets)
    return InDoubt(error=TimeoutError())


def lost_request(transactor, records, _offsets) -> Outcome:
    """The commit never arrived, and nobody says so."""
    transactor.kafka.write(records, visible=False)
    return InDoubt(error=TimeoutError())


def failed(error: BaseException, topic: str | None = None) -> Doing:
    """EndTxn was never sent."""

    def doing(transactor, records, _offsets) -> Outcome:
        transactor.kafka.write(records, visible=False)
        return NotCommitted(error=error, topic=topic)

    return doing


def fenced(_transactor, _records, _offsets) -> Outcome:
    return Fenced(error=ProducerFenced())


class FakeTransactor:
    """A transactional producer: refuses, loses replies and is fenced on demand."""

    def __init__(self, kafka: FakeKafka, name: str = "t-0") -> None:
        self.kafka = kafka
        self.name = name
        self.epoch: int | None = None
        self.next: deque[Doing] = deque()
        """What happens to the next commits, in turn; then all goes well."""
        self.gate: asyncio.Event | None = None
        """Set to make commits wait until it is set."""
        self.attempts = 0
        self.lost_touch = False
        self.under_way = asyncio.Event()

    async def renew(self) -> None:
        await asyncio.sleep(0)
        if self.kafka.away:
            raise KafkaError
        self.lost_touch = False
        self.epoch = self.kafka.epochs[self.name] = (
            self.kafka.epochs.get(self.name, 0) + 1
        )

    async def close(self) -> None:
        self.epoch = None

    async def commit(
        self, records: Sequence[Outgoing], offsets: Mapping[TopicPartition, int]
    ) -> Outcome:
        self.attempts += 1
        self.under_way.set()
        await (self.gate.wait() if self.gate else asyncio.sleep(0))
        outcome = self._outcome(records, offsets)
        if not isinstance(outcome, Committed):
            self.epoch = None  # thrown away, as the real one must be
        return outcome

    def _outcome(self, records, offsets) -> Outcome:
        if self.epoch is None or self.lost_touch:
            return NotCommitted(error=KafkaError("nobody renewed the producer"))
        if self.epoch != self.kafka.epochs[self.name]:
            return Fenced(error=ProducerFenced())
        if self.next:
            return self.next.popleft()(self, records, offsets)
        if self.kafka.away:
            return NotCommitted(error=KafkaError())
        for record in records:
            error = self.kafka.refuses(record)
            if error is not None:
                return failed(error, record.topic)(self, records, offsets)
        return Committed(next_offsets=self.kafka.commit(records, offsets))


class MemoryStore:
    """A store without files, for tests that make thousands of them."""

    def __init__(self) -> None:
        self.mark = StoreMark()
        self.data: dict[bytes, bytes] = {}
        self.applied: list[StoreMark] = []

    def get(self, key: bytes) -> bytes | None:
        return self.data.get(key)

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        yield from sorted(self.data.items())

    def apply(self, changes: Iterable[Change], mark: StoreMark) -> None:
        for key, value in changes:
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value
        self.mark = mark
        self.applied.append(mark)

    def close(self) -> None:
        self.mark = StoreMark()


@dataclass
class Watching:
    """A watcher that remembers what it was told."""

    commits: list[int] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    holds: list[bool] = field(default_factory=list)

    def committed(self, settlements: int, records: int, seconds: float) -> None:
        self.commits.append(settlements)

    def doubted(self, outcome: str) -> None:
        self.doubts.append(outcome)

    def held(self, partition: int, *, held: bool) -> None:
        self.holds.append(held)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until *condition* holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the loop turns, no time passes
            await asyncio.sleep(0)


async def turns(number: int = 20) -> None:
    """Let everybody who can go on go on."""
    for _ in range(number):
        await asyncio.sleep(0)


OUT = Outgoing(topic="out", partition=0, key=b"k", value=b"v")
TP = TopicPartition("out", 0)


async def test_a_fake_commit_is_visible_and_moves_offsets_past_records_only():
    kafka = FakeKafka()
    transactor = FakeTransactor(kafka)
    await transactor.renew()
    at = TopicPartition("in", 0)
    assert await transactor.commit([OUT, OUT], {at: 5}) == Committed(
        next_offsets={TP: 2}
    )
    assert await transactor.commit([OUT], {}) == Committed(
        next_offsets={TP: 4}  # one for the marker
    )
    assert kafka.values("out") == [b"v"] * 3
    assert kafka.group == {at: 5}


@pytest.mark.parametrize(
    ("doing", "seen"), [(lost_reply, [b"v"]), (lost_request, []), (fenced, [])]
)
async def test_only_a_lost_reply_hides_a_commit_that_is_in(doing, seen):
    kafka = FakeKafka()
    transactor = FakeTransactor(kafka)
    await transactor.renew()
    transactor.next.append(doing)
    assert not isinstance(await transactor.commit([OUT], {}), Committed)
    assert kafka.values("out") == seen


async def test_the_later_fake_producer_fences_the_former():
    kafka = FakeKafka()
    former, later = FakeTransactor(kafka), FakeTransactor(kafka)
    await former.renew()
    await later.renew()
    assert isinstance(await former.commit([OUT], {}), Fenced)
    assert isinstance(await later.commit([OUT], {}), Committed)
