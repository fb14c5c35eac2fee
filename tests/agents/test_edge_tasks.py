"""Tasks: take records while alive, run lanes, settle, and leave nothing behind."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agents import committer as committing
from agents.committer import Committer
from agents.lanes import Slots
from agents.lease import Lease
from agents.mishap import StrayCancellationError
from agents.pending import Overlay, Pending
from agents.position import MAX_SPAN, SourcePosition, SourceTracker
from agents.record import Record
from agents.restore import changelog
from agents.tables import JOURNAL, SESSIONS, TABLES, DiskFullError
from agents.task import Admitted, State, Task, View
from agents.tasks import Tasks, snapshot
from agents.tenure import Tenure
from agents.transactions import Outgoing
from schemas.errors import UnknownSchemaError
from streams.clock import ManualClock
from streams.config import Settings
from streams.permit import ALWAYS
from streams.settlement import Publish, Settlement, Write
from tests.agents.strays import cancelled_by_nobody
from tests.agents.test_edge_fakes import (
    GROUP,
    FakeKafka,
    FakeTransactor,
    MemoryStore,
    Watching,
    fenced,
    turns,
    until,
)

IN, OUT = "penstock.support.requests", "penstock.support.results"


def record(offset: int, key: str = "a", value: bytes = b"run") -> Record:
    return Record(topic=IN, partition=0, offset=offset, key=key.encode(), value=value)


def settled(of: Record) -> Pending:
    name = b"%d" % of.offset
    return Pending(
        settlement=Settlement(
            records=(Publish(topic=OUT, key=of.key, value=name),),
            writes=(Write(table=SESSIONS, key=of.key or b"", value=name),),
            source=of.source,
        ),
        instead=lambda _: None,
    )


@dataclass
class Handler:
    """An agent whose runs end when the test says so."""

    slots: Slots = field(default_factory=lambda: Slots(limit=4))
    known: set[bytes] = field(default_factory=lambda: {b"run", b"letter"})
    given_up: set[bytes] = field(default_factory=set)
    learning: list[int | str] = field(default_factory=list)
    answers: dict[int, asyncio.Event] = field(default_factory=dict)
    begun: list[int] = field(default_factory=list)
    seen: dict[int, bytes | None] = field(default_factory=dict)
    registry: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self, of: Record) -> Admitted | Pending:
        value = of.value or b""
        if value not in self.known:
            if value in self.given_up:
                return settled(of)
            raise UnknownSchemaError(value.decode())
        if value == b"letter":
            return settled(of)
        return Admitted(
            key=(of.key or b"").decode(),
            slots=self.slots,
            size_bytes=of.size_bytes,
            execute=lambda view: self.execute(view, of),
        )

    async def learn(self, error: UnknownSchemaError) -> None:
        self.learning.append(error.schema_id)
        await self.registry.wait()
        name = str(error.schema_id).encode()
        (self.given_up if name == b"nobodys" else self.known).add(name)

    async def execute(self, view: View, of: Record) -> Pending:
        self.begun.append(of.offset)
        self.seen[of.offset] = view.get(SESSIONS, of.key or b"")
        await self.answers.setdefault(of.offset, asyncio.Event()).wait()
        return settled(of)

    def answer(self, *offsets: int) -> None:
        for offset in offsets:
            self.answers.setdefault(offset, asyncio.Event()).set()


@dataclass
class Bench:
    """A live task with everything around it."""

    kafka: FakeKafka = field(default_factory=FakeKafka)
    clock: ManualClock = field(default_factory=ManualClock)
    stores: dict = field(default_factory=lambda: {t: MemoryStore() for t in TABLES})
    start: SourcePosition = field(default_factory=lambda: SourcePosition(next=0))
    mine: bool = True
    dead: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.handler = Handler()
        self.transactor = FakeTransactor(self.kafka)
        self.trackers = {IN: SourceTracker(self.start)}
        overlay = Overlay()
        self.committer = Committer(
            partition=0,
            group=GROUP,
            shape="shape",
            transactor=self.transactor,
            stores=self.stores,
            trackers=self.trackers,
            dormant={},
            overlay=overlay,
            tenure=Tenure(Lease(self.clock, 6), 0),
            clock=self.clock,
            watcher=Watching(),
            interval_s=0,
            still_mine=lambda: self.mine,
            catch_up=self.catch_up,
        )
        self.task = Task(
            0,
            stores=self.stores,
            trackers=self.trackers,
            committer=self.committer,
            overlay=overlay,
            permit=ALWAYS,
            on_dead=lambda _task, error: self.dead.append(error),
        )

    async def catch_up(self) -> None:
        self.kafka.catch_up(self.stores)

    async def go(self) -> "Bench":
        await self.transactor.renew()
        self.kafka.catch_up(self.stores)
        await self.committer.claim("mine")
        self.transactor.under_way.clear()
        self.task.go()
        return self

    def submit(self, *records: Record) -> None:
        for each in records:
            self.task.submit(self.handler, each)

    def results(self) -> list[int]:
        return [int(value or b"") for value in self.kafka.values(OUT)]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(committing.Backoff, "next_s", lambda _self: 0.0)
    with capture_logs():  # pretty tracebacks are slow
        yield


@pytest.fixture
async def bench():
    bench = await Bench().go()
    yield bench
    async with asyncio.timeout(5):
        await bench.task.drop()
    assert bench.handler.slots.taken == 0


async def test_a_record_is_run_settled_and_published(bench):
    bench.handler.answer(0)
    bench.submit(record(0))
    await until(lambda: bench.results() == [0])
    assert bench.kafka.group == {TopicPartition(IN, 0): 1}
    assert (bench.task.running, bench.task.waiting, bench.task.span) == (0, 0, 0)


async def test_a_record_that_comes_again_is_not_run_again(bench):
    bench.handler.answer(0)
    bench.submit(record(0), record(0))
    await until(lambda: bench.results() == [0])
    bench.submit(record(0))
    await turns()
    assert bench.handler.begun == [0]


async def test_what_an_earlier_owner_finished_is_not_run_again():
    bench = await Bench(start=SourcePosition(next=2, ranges=((3, 3),))).go()
    bench.handler.answer(2, 4)
    bench.submit(*(record(offset) for offset in range(5)))
    await until(lambda: bench.results() == [2, 4])
    assert bench.trackers[IN].position() == SourcePosition(next=5)
    await bench.task.drop()


async def test_the_next_record_of_a_lane_sees_what_the_former_settled(bench):
    bench.transactor.gate = asyncio.Event()  # nothing is committed meanwhile
    bench.handler.answer(0, 1)
    bench.submit(record(0), record(1))
    await until(lambda: bench.handler.begun == [0, 1])
    assert bench.handler.seen == {0: None, 1: b"0"}
    bench.transactor.gate.set()
    await until(lambda: bench.results() == [0, 1])


async def test_one_slow_lane_does_not_keep_the_others(bench):
    bench.handler.answer(1, 2)
    bench.submit(record(0, "slow"), record(1, "b"), record(2, "c"))
    await until(lambda: bench.results() == [1, 2])
    position = bench.trackers[IN].position()
    assert position == SourcePosition(next=0, ranges=((1, 2),))
    assert bench.kafka.group == {TopicPartition(IN, 0): 0}


async def test_a_settlement_at_once_needs_no_run(bench):
    bench.submit(record(0, value=b"letter"))
    await until(lambda: bench.results() == [0])
    assert bench.handler.begun == []


async def test_records_behind_an_unknown_schema_keep_their_order(bench):
    bench.submit(
        record(0, value=b"new"),
        record(1),
        record(2, value=b"newer"),
        record(3, value=b"letter"),
        record(4),
    )
    bench.handler.answer(*range(9))
    await turns()
    assert bench.handler.begun == []
    assert bench.results() == []
    bench.handler.known.update({b"new", b"newer"})
    bench.handler.registry.set()
    await until(lambda: len(bench.results()) == 5)
    assert bench.handler.begun == [0, 1, 2, 4]
    bench.handler.known |= {b"new"}
    bench.submit(record(5))
    await until(lambda: 5 in bench.results())


async def test_a_second_unknown_schema_is_learned_in_its_turn(bench):
    bench.submit(record(0, value=b"new"), record(1, value=b"newer"))
    bench.handler.answer(0, 1)
    bench.handler.registry.set()
    await until(lambda: bench.results() == [0, 1])
    assert bench.handler.learning == ["new", "newer"]


async def test_a_schema_that_nobody_knows_becomes_a_dead_letter(bench):
    bench.submit(record(0, value=b"nobodys"), record(1))
    bench.handler.answer(1)
    bench.handler.registry.set()
    await until(lambda: bench.results() == [0, 1])


async def test_held_records_count_as_waiting(bench):
    bench.submit(record(0, value=b"new"), record(1), record(2))
    assert bench.task.waiting == 3
    assert bench.task.waiting_bytes == sum(
        record(offset, value=value).size_bytes
        for offset, value in enumerate((b"new", b"run", b"run"))
    )
    bench.handler.answer(0, 1, 2)
    bench.handler.registry.set()
    await until(lambda: len(bench.results()) == 3)
    assert (bench.task.waiting, bench.task.waiting_bytes) == (0, 0)


async def test_a_fenced_task_is_dead_and_takes_nothing_more(bench):
    bench.transactor.next.append(fenced)
    bench.handler.answer(0)
    bench.submit(record(0), record(1, "b"))
    await until(lambda: bench.dead)
    assert bench.task.state is State.DEAD
    bench.handler.answer(1, 2)
    bench.submit(record(2))
    await turns()
    assert bench.results() == []
    assert 2 not in bench.handler.begun
    assert bench.handler.slots.taken == 0


async def test_a_store_that_cannot_be_written_ends_the_task(bench, tmp_path):
    def full(_changes, _mark):
        raise DiskFullError(tmp_path, "no space")

    bench.stores[SESSIONS].apply = full
    bench.handler.answer(0)
    bench.submit(record(0))
    await until(lambda: bench.dead)
    assert isinstance(bench.dead[0], DiskFullError)
    del bench.stores[SESSIONS].apply


async def test_an_execution_that_raises_ends_the_task_loudly(bench):
    class Broken(Handler):
        async def execute(self, view, of):
            raise ZeroDivisionError

    bench.handler = Broken()
    bench.submit(record(0), record(1))
    await until(lambda: bench.dead)
    assert isinstance(bench.dead[0], ZeroDivisionError)
    assert bench.trackers[IN].position().next == 0


async def test_a_committer_that_raises_ends_the_task_loudly(bench):
    async def broken(_records, _offsets):
        raise ZeroDivisionError

    bench.transactor.commit = broken
    bench.handler.answer(0)
    bench.submit(record(0))
    await until(lambda: bench.dead)
    assert isinstance(bench.dead[0], ZeroDivisionError)


@pytest.mark.parametrize("place", ["commit", "run", "learn"])
async def test_a_cancellation_by_nobody_ends_the_task_loudly(bench, place):
    if place == "commit":
        bench.transactor.commit = cancelled_by_nobody
    elif place == "run":
        bench.handler.execute = cancelled_by_nobody
    else:
        bench.handler.learn = cancelled_by_nobody
    bench.handler.answer(0)
    bench.submit(record(0, value=b"new" if place == "learn" else b"run"))
    await until(lambda: bench.dead)
    assert isinstance(bench.dead[0], StrayCancellationError)
    assert bench.task.state is State.DEAD


async def test_draining_settles_what_runs_and_starts_nothing(bench):
    bench.submit(record(0), record(1), record(2, "b"))
    await turns()
    draining = asyncio.create_task(bench.task.drain(budget_s=5))
    await turns()
    bench.submit(record(3, "c"), record(4, value=b"letter"))
    bench.handler.answer(0, 1, 2, 3)
    await draining
    assert bench.results() == [0, 2]
    assert bench.handler.begun == [0, 2]
    assert bench.task.state is State.CLOSED
    position = bench.trackers[IN].position()
    assert position == SourcePosition(next=1, ranges=((2, 2),))


async def test_draining_gives_up_on_runs_that_take_too_long(bench):
    bench.submit(record(0), record(1, "b"))
    bench.handler.answer(1)
    await bench.task.drain(budget_s=0.02)
    assert bench.results() == [1]
    assert bench.handler.slots.taken == 0


async def test_draining_waits_for_the_commit_that_is_on_its_way(bench):
    bench.transactor.gate = asyncio.Event()
    bench.handler.answer(0, 1)
    bench.submit(record(0))
    await until(bench.transactor.under_way.is_set)
    bench.submit(record(1, "b"))
    await turns()
    draining = asyncio.create_task(bench.task.drain(budget_s=5))
    await turns()
    bench.transactor.gate.set()
    await draining
    assert bench.results() == [0, 1]


async def test_what_a_cancelled_run_still_settles_is_committed_by_a_drain(bench):
    paid = Write(table=JOURNAL, key=b"run\0\0c/draft/0", value=b"paid")

    class Saving(Handler):
        async def execute(self, view, of):
            try:
                await asyncio.Event().wait()
            finally:
                settlement = Settlement(writes=(paid,))
                view.settle(Pending(settlement=settlement, instead=lambda _: None))

    bench.handler = Saving()
    bench.submit(record(0))
    await turns()
    await bench.task.drain(budget_s=0.01)
    assert bench.kafka.table(JOURNAL) == {paid.key: b"paid"}


async def test_dropping_publishes_nothing_and_frees_every_slot(bench):
    bench.submit(*(record(offset, str(offset)) for offset in range(9)))
    await turns()
    await bench.task.drop()
    assert bench.results() == []
    assert bench.handler.slots.taken == 0
    assert bench.task.state is State.CLOSED


async def test_a_run_that_never_took_its_first_step_gives_its_slot_back(bench):
    bench.submit(record(0), record(1, "b"))
    await bench.task.drop()
    assert bench.handler.begun == []
    assert bench.handler.slots.taken == 0


async def test_dropping_ends_a_task_whose_broker_is_away(bench):
    bench.kafka.away = True
    bench.handler.answer(0)
    bench.submit(record(0))
    await turns(50)
    async with asyncio.timeout(2):
        await bench.task.drop()
    assert bench.task.state is State.CLOSED


async def test_dropping_a_task_that_is_dead_already_is_fine(bench):
    bench.transactor.next.append(fenced)
    bench.handler.answer(0)
    bench.submit(record(0))
    await until(lambda: bench.dead)
    await bench.task.drop()
    assert bench.task.state is State.CLOSED


async def test_a_dropped_task_waits_out_its_transaction(bench):
    # A transaction is never cancelled half way: it ends, then the producer is closed.
    bench.transactor.gate = asyncio.Event()
    bench.handler.answer(0)
    bench.submit(record(0))
    await until(bench.transactor.under_way.is_set)
    dropping = asyncio.create_task(bench.task.drop())
    await turns()
    assert not dropping.done()
    bench.transactor.gate.set()
    await dropping
    assert bench.results() == [0]


async def test_dropping_while_a_schema_is_learned_forgets_what_is_held(bench):
    bench.submit(record(0, value=b"new"), record(1))
    await turns()
    await bench.task.drop()
    bench.handler.registry.set()
    bench.handler.answer(0, 1)
    await turns()
    assert bench.handler.begun == []


async def test_journal_entries_are_handed_to_their_run_once():
    bench = Bench()
    run, other = b"support\0s\0r1\0000", b"support\0s\0r2\0000"
    rows = {
        run + b"\0\0h": b"header",
        run + b"\0\0c/draft/0": b"call",
        other + b"\0\0h": b"other",
    }
    topic = changelog(GROUP, JOURNAL)
    bench.kafka.commit(
        [Outgoing(topic=topic, partition=0, key=k, value=v) for k, v in rows.items()],
        {},
    )
    bench.kafka.catch_up(bench.stores)
    task = Bench(stores=bench.stores, kafka=bench.kafka).task
    assert task.journalled(run) == {b"h": b"header", b"c/draft/0": b"call"}
    assert task.journalled(run) == {}
    assert task.journalled(b"unknown") == {}


async def test_the_span_of_a_task_is_its_widest():
    bench = await Bench().go()
    bench.submit(record(0, "slow"), record(MAX_SPAN - 1, "b"))
    assert bench.task.span == MAX_SPAN
    await bench.task.drop()


async def tasks_of(bench: Bench, **options) -> Tasks:
    """Return the tasks of a worker that has *bench*'s only."""
    tasks = Tasks(
        Settings(**options),
        bootstrap="",
        shape="shape",
        topics=[IN],
        shelf=None,
        restorer=None,
        new_transactor=lambda _: bench.transactor,
        clock=bench.clock,
        lease=Lease(bench.clock, 6),
        watcher=Watching(),
        still_assigned=lambda _: True,
        rejoin=lambda: None,
        on_fatal=lambda _: None,
    )
    tasks.by_partition[0] = bench.task
    return tasks


@pytest.mark.parametrize(
    ("options", "records"),
    [
        ({"max_waiting": 3}, [record(o) for o in range(3)]),
        ({"max_waiting": 3}, [record(o, value=b"new") for o in range(3)]),
        ({"max_waiting_bytes": 1_000}, [record(0, value=b"new"), record(1, "k" * 997)]),
        ({}, [record(0, "slow"), record(MAX_SPAN)]),
    ],
)
async def test_a_task_with_enough_waiting_is_full(bench, options, records):
    tasks = await tasks_of(bench, **options)
    bench.submit(*records[:-1])
    assert tasks.full() == set()
    bench.submit(records[-1])
    assert tasks.full() == {0}


async def test_a_full_task_is_not_full_for_ever(bench):
    tasks = await tasks_of(bench, max_waiting=2)
    bench.submit(record(0), record(1))
    bench.handler.answer(0, 1)
    await until(lambda: tasks.full() == set())


@pytest.mark.parametrize("options", [{"max_waiting": 2}, {"max_waiting_bytes": 4}])
async def test_answers_that_nobody_has_yet_keep_a_task_full(bench, options):
    tasks = await tasks_of(bench, **options)
    bench.transactor.gate = asyncio.Event()
    bench.submit(record(0, "a"), record(1, "b"))
    bench.handler.answer(0, 1)
    await until(lambda: not bench.task.waiting)
    assert tasks.full() == {0}
    bench.transactor.gate.set()
    await until(lambda: tasks.full() == set())


async def test_a_task_that_stays_goes_on_where_it_was(bench):
    tasks = await tasks_of(bench)
    bench.submit(record(0), record(7))
    assert tasks.resume_at() == {TopicPartition(IN, 0): 8}
    assert tasks.live(0)
    assert not tasks.live(1)


async def test_a_dead_task_says_nothing_about_where_to_go_on(bench):
    tasks = await tasks_of(bench)
    bench.transactor.next.append(fenced)
    bench.handler.answer(0)
    tasks.submit(bench.handler, record(0))
    await until(lambda: bench.dead)
    assert tasks.resume_at() == {}
    assert not tasks.live(0)


async def test_records_of_a_partition_without_a_task_wait_at_the_broker(bench):
    tasks = await tasks_of(bench)
    elsewhere = Record(topic=IN, partition=5, offset=0, key=b"a", value=b"run")
    tasks.submit(bench.handler, elsewhere)
    await turns()
    assert bench.handler.begun == []


async def test_a_snapshot_says_what_each_task_holds(bench):
    tasks = await tasks_of(bench)
    bench.transactor.gate = asyncio.Event()
    bench.handler.answer(2)
    bench.submit(record(0), record(1), record(2, "b"))
    await until(bench.transactor.under_way.is_set)
    await turns()
    [held] = snapshot(tasks)
    assert (held.partition, held.state) == (0, "live")
    assert (held.running, held.waiting, held.unsettled) == (1, 1, 1)
    bench.transactor.gate.set()


@settings(max_examples=60)
@given(data=st.data())
def test_no_slot_outlives_tasks_that_come_and_go(data):
    async def scenario() -> None:
        handler = Handler(slots=Slots(limit=3))
        for _ in range(data.draw(st.integers(1, 4), "owners")):
            bench = await Bench().go()
            bench.handler = handler
            handler.answers = {}
            offset = 0
            for _ in range(data.draw(st.integers(0, 6), "steps")):
                step = data.draw(st.sampled_from(["submit", "answer", "turn"]))
                if step == "submit":
                    key = data.draw(st.sampled_from("abcd"))
                    bench.submit(record(offset, key))
                    offset += 1
                elif step == "answer" and offset:
                    handler.answer(data.draw(st.integers(0, offset - 1)))
                else:
                    await turns(data.draw(st.integers(1, 5)))
            ending: Callable = data.draw(
                st.sampled_from([Task.drop, lambda task: task.drain(0.001)])
            )
            if data.draw(st.booleans(), "fenced first"):
                bench.transactor.next.append(fenced)
                bench.submit(record(offset, value=b"letter"))
                await turns(data.draw(st.integers(0, 8)))
            await ending(bench.task)
            assert handler.slots.taken == 0

    asyncio.run(scenario())


async def test_every_record_is_answered_once_across_owners_that_crash():
    kafka = FakeKafka()
    total, start = 12, SourcePosition(next=0)
    for crash_after in (2, 3, 1, 100):
        bench = await Bench(kafka=kafka, start=start).go()
        resume = bench.trackers[IN].resume
        keys = "abc"
        bench.submit(*(record(o, keys[o % 3]) for o in range(resume, total)))
        wanted = min(len(bench.results()) + crash_after, total)
        for offset in reversed(range(total)):
            bench.handler.answer(offset)
            await turns(2)
            if len(bench.results()) >= wanted:
                break
        await until(lambda at=wanted, b=bench: len(b.results()) >= at)
        await bench.task.drop()
        start = committing.Position.unpack(
            kafka.table("tasks")[committing.POSITION_KEY]
        ).sources[IN]
    assert sorted(bench.results()) == list(range(total))
    for key in range(3):
        of_key = [offset for offset in bench.results() if offset % 3 == key]
        assert of_key == sorted(of_key)


async def test_records_that_never_came_are_noticed_at_the_first_one_behind_them(bench):
    tasks = await tasks_of(bench)
    bench.submit(record(0), record(1))
    assert tasks.taken_to(IN, 0) == 2
    assert tasks.taken_to(IN, 1) is None  # whoever opens it seeks where it begins
