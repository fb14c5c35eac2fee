"""The committer: no settlement is lost and none made true twice, whatever happens."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from structlog.testing import capture_logs

from agents import committer as module
from agents.committer import ClaimError, Committer, ReplacedError
from agents.lease import Lease
from agents.pending import Overlay, Pending, finished_offsets
from agents.position import KEY as POSITION_KEY
from agents.position import Position, SourcePosition, SourceTracker
from agents.restore import changelog
from agents.tables import (
    JOURNAL,
    LEDGER,
    SESSIONS,
    TABLES,
    TASKS,
    Engine,
    KeyStore,
    StoreMark,
)
from agents.tenure import Tenure
from agents.transactions import Committed, Outgoing
from schemas.records import Source
from streams.clock import ManualClock
from streams.errors import StateError
from streams.settlement import Publish, Settlement, Write
from tests.agents.test_edge_fakes import (
    GROUP,
    FakeKafka,
    FakeTransactor,
    MemoryStore,
    Watching,
    failed,
    fenced,
    lost_reply,
    lost_request,
    turns,
    until,
)

IN, OUT = "penstock.support.requests", "penstock.support.results"
MINE, RIVAL = "mine", "rival"
SESSION_S = 6.0


@dataclass
class Bench:
    """A committer with everything around it."""

    kafka: FakeKafka = field(default_factory=FakeKafka)
    stores: dict = field(
        default_factory=lambda: {table: MemoryStore() for table in TABLES}
    )
    mine: bool = True
    clock: ManualClock = field(default_factory=ManualClock)
    offsets_every_s: float = 0
    dormant: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.transactor = FakeTransactor(self.kafka)
        self.overlay = Overlay()
        self.watching = Watching()
        self.trackers = {IN: SourceTracker(SourcePosition(next=0))}
        self.lease = Lease(self.clock, SESSION_S)
        self.lease.given([0], self.clock.monotonic_s())
        self.tenure = Tenure(self.lease, 0)
        self.committer = Committer(
            partition=0,
            group=GROUP,
            shape="shape",
            transactor=self.transactor,
            stores=self.stores,
            trackers=self.trackers,
            dormant=self.dormant,
            overlay=self.overlay,
            tenure=self.tenure,
            clock=self.clock,
            watcher=self.watching,
            interval_s=0,
            still_mine=lambda: self.mine,
            catch_up=self.catch_up,
            offsets_every_s=self.offsets_every_s,
        )

    async def catch_up(self) -> None:
        await asyncio.sleep(0)
        self.kafka.catch_up(self.stores)

    async def claim(self, token: str = MINE, behind: Iterable[str] = ()) -> "Bench":
        await self.transactor.renew()
        self.kafka.catch_up(self.stores)
        await self.committer.claim(token, behind=behind)
        self.transactor.under_way.clear()
        return self

    def deliver(self, *offsets: int) -> None:
        for offset in offsets:
            self.trackers[IN].deliver(offset)

    def settle(self, offset: int, instead="smaller") -> Settlement:
        """Settle the record at *offset*: a result, a session, and what else."""
        settlement = answer(offset)
        smaller = Pending(settlement=answer(offset, b"error"), instead=lambda _: None)
        self.committer.settle(
            Pending(
                settlement=settlement,
                instead=lambda _: smaller if instead == "smaller" else instead,
            )
        )
        return settlement

    @property
    def position(self) -> Position:
        return Position.unpack(self.kafka.table(TASKS)[POSITION_KEY])

    def results(self) -> list[bytes | None]:
        return self.kafka.values(OUT)

    def in_step(self) -> bool:
        """Say whether stores are what their changelogs stand for."""
        return all(
            dict(self.stores[table].scan()) == self.kafka.table(table)
            for table in TABLES
        )


def answer(offset: int, value: bytes | None = None) -> Settlement:
    """Return what follows from a record; with *value*, what stands for it."""
    name = b"%d" % offset
    ledger = Write(table=LEDGER, key=name, value=b"done")
    session = Write(table=SESSIONS, key=b"s", value=name)
    return Settlement(
        records=(Publish(topic=OUT, key=name, value=value or name),),
        writes=(ledger, session) if value is None else (ledger,),
        source=Source(topic=IN, partition=0, offset=offset),
    )


@pytest.fixture
async def bench() -> Bench:
    return await Bench().claim()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(module.Backoff, "next_s", lambda _self: 0.0)
    with capture_logs():
        yield


async def test_a_claim_is_a_transaction_of_its_own(bench):
    assert bench.position == Position(
        token=MINE, number=0, shape="shape", sources={IN: SourcePosition(next=0)}
    )
    assert bench.kafka.group == {}
    assert bench.in_step()


@pytest.mark.parametrize(
    ("doing", "error"),
    [
        (fenced, ReplacedError),
        (lost_reply, ClaimError),
        (lost_request, ClaimError),
        (failed(KafkaError()), ClaimError),
    ],
)
async def test_a_claim_that_is_not_surely_in_is_no_claim(doing, error):
    bench = Bench()
    bench.transactor.next.append(doing)
    with pytest.raises(error):
        await bench.claim()
    assert bench.stores[TASKS].get(POSITION_KEY) is None


async def test_one_transaction_holds_records_writes_offsets_and_position(bench):
    bench.deliver(0, 1)
    bench.settle(0)
    bench.settle(1)
    await bench.committer.flush()
    _, commit = bench.kafka.transactions
    assert commit.offsets == {TopicPartition(IN, 0): 2}
    assert {record.topic for record in commit.records} == {
        OUT,
        *(changelog(GROUP, table) for table in (LEDGER, SESSIONS, TASKS)),
    }
    assert bench.results() == [b"0", b"1"]
    assert bench.position.number == 1
    assert bench.position.sources[IN] == SourcePosition(next=2)
    assert bench.watching.commits == [2]
    assert bench.in_step()


async def test_the_last_write_of_a_key_is_the_one_that_is_sent(bench):
    bench.deliver(0, 1)
    bench.settle(0)
    bench.settle(1)
    await bench.committer.flush()
    assert bench.kafka.values(changelog(GROUP, SESSIONS)) == [b"1"]


async def test_a_write_is_seen_at_once_and_stored_after_its_commit(bench):
    bench.transactor.gate = asyncio.Event()
    bench.deliver(0)
    bench.settle(0)
    flushing = asyncio.create_task(bench.committer.flush())
    await until(bench.transactor.under_way.is_set)
    assert bench.overlay.writes[SESSIONS, b"s"].value == b"0"
    assert bench.stores[SESSIONS].get(b"s") is None
    bench.transactor.gate.set()
    await flushing
    assert bench.overlay.writes == {}
    assert bench.stores[SESSIONS].get(b"s") == b"0"


async def test_a_later_write_outlives_the_commit_of_an_earlier_one(bench):
    bench.transactor.gate = asyncio.Event()
    bench.deliver(0, 1)
    bench.settle(0)
    flushing = asyncio.create_task(bench.committer.flush())
    await until(bench.transactor.under_way.is_set)
    bench.settle(1)
    bench.transactor.gate.set()
    await flushing
    assert bench.overlay.writes[SESSIONS, b"s"].value == b"1"
    await bench.committer.flush()
    assert bench.overlay.writes == {}


async def test_marks_move_on_to_behind_what_was_committed(bench):
    bench.deliver(0, 1)
    for offset in (0, 1):
        bench.clock.advance(1)
        bench.settle(offset)
        await bench.committer.flush()
    tp = TopicPartition(changelog(GROUP, SESSIONS), 0)
    mark = bench.stores[SESSIONS].mark
    assert mark.next == len(bench.kafka.logs[tp]) - 1  # the marker comes after it
    assert mark.seen_ms == bench.clock.now_ms()
    assert bench.stores[JOURNAL].mark == StoreMark(next=0, seen_ms=1)  # not written


async def test_marks_keep_the_identity_of_their_changelog(bench):
    bench.stores[SESSIONS].mark = StoreMark(next=0, seen_ms=1, changelog_id=b"me")
    bench.deliver(0)
    bench.settle(0)
    await bench.committer.flush()
    assert bench.stores[SESSIONS].mark.changelog_id == b"me"


async def test_group_offsets_follow_topics_that_advance_only(bench):
    other = "penstock.other.requests"
    bench.trackers[other] = SourceTracker(SourcePosition(next=40))
    bench.deliver(0)
    bench.settle(0)
    await bench.committer.flush()
    assert bench.kafka.group == {TopicPartition(IN, 0): 1}
    assert bench.position.sources[other] == SourcePosition(next=40)


async def test_group_offsets_ride_along_now_and_then():
    bench = await Bench(offsets_every_s=60).claim()
    for offset in range(3):
        bench.deliver(offset)
        bench.settle(offset)
        await bench.committer.flush()
    assert bench.kafka.group == {TopicPartition(IN, 0): 1}
    assert bench.position.sources[IN].next == 3


async def test_group_offsets_that_are_owed_follow_when_nothing_else_happens():
    bench = await Bench(offsets_every_s=0.01).claim()
    working = asyncio.create_task(bench.committer.work())
    for offset in range(3):
        bench.deliver(offset)
        bench.settle(offset)
    await until(lambda: bench.kafka.group == {TopicPartition(IN, 0): 3})
    bench.committer.close()
    await working


async def test_a_claim_commits_what_the_last_owner_left_behind():
    bench = Bench(offsets_every_s=60)
    bench.trackers[IN] = SourceTracker(SourcePosition(next=17))
    await bench.claim(behind=[IN])
    assert bench.kafka.group == {TopicPartition(IN, 0): 17}


async def test_topics_that_no_pipeline_reads_any_more_keep_their_places():
    away = SourcePosition(next=7, ranges=((9, 11),))
    bench = await Bench(dormant={"away": away}).claim()
    bench.deliver(0)
    bench.settle(0)
    await bench.committer.flush()
    assert bench.position.sources == {"away": away, IN: SourcePosition(next=1)}
    assert bench.kafka.group == {TopicPartition(IN, 0): 1}


async def test_a_committer_that_closes_leaves_no_group_offset_behind():
    bench = await Bench(offsets_every_s=60).claim()
    for offset in range(3):
        bench.deliver(offset)
        bench.settle(offset)
        await bench.committer.flush()
    bench.committer.close()
    await bench.committer.work()
    assert bench.kafka.group == {TopicPartition(IN, 0): 3}


async def test_an_abandoned_committer_leaves_group_offsets_alone():
    bench = await Bench(offsets_every_s=60).claim()
    for offset in range(3):
        bench.deliver(offset)
        bench.settle(offset)
        await bench.committer.flush()
    bench.committer.close(abandon=True)
    await bench.committer.work()
    assert bench.kafka.group == {TopicPartition(IN, 0): 1}


async def test_offsets_of_a_doubtful_commit_that_is_in_are_not_owed():
    bench = await Bench(offsets_every_s=60).claim()
    bench.transactor.next.append(lost_reply)
    bench.deliver(0)
    bench.settle(0)
    await bench.committer.flush()
    count = len(bench.kafka.transactions)
    bench.committer.close()
    await bench.committer.work()
    assert bench.kafka.group == {TopicPartition(IN, 0): 1}
    assert len(bench.kafka.transactions) == count


async def test_offsets_of_a_commit_that_is_not_in_are_sent_again():
    bench = await Bench(offsets_every_s=60).claim()
    bench.transactor.next.append(lost_request)
    bench.deliver(0)
    bench.settle(0)
    await bench.committer.flush()
    assert bench.kafka.group == {TopicPartition(IN, 0): 1}


async def test_a_settlement_may_answer_no_record(bench):
    write = Write(table=JOURNAL, key=b"call", value=b"paid")
    bench.committer.settle(
        Pending(settlement=Settlement(writes=(write,)), instead=lambda _: None)
    )
    await bench.committer.flush()
    assert bench.kafka.transactions[-1].offsets == {}
    assert bench.stores[JOURNAL].get(b"call") == b"paid"


async def test_records_go_to_their_own_partition_or_to_the_tasks(bench):
    home = Publish(topic=IN, key=b"k", value=b"v", partition=5, timestamp_ms=9)
    bench.committer.settle(
        Pending(settlement=Settlement(records=(home,)), instead=lambda _: None)
    )
    await bench.committer.flush()
    [sent] = bench.kafka.read(IN, 5)
    assert (sent.value, sent.timestamp_ms) == (b"v", 9)


@pytest.mark.parametrize(
    ("doing", "doubt"),
    [
        (lost_reply, ["committed"]),
        (lost_request, ["not_committed"]),
        (failed(KafkaError()), []),
    ],
)
async def test_whatever_became_of_a_commit_its_settlements_are_in_once(
    bench, doing, doubt
):
    bench.transactor.next.append(doing)
    bench.deliver(0, 1)
    bench.settle(0)
    bench.settle(1)
    await bench.committer.flush()
    assert bench.results() == [b"0", b"1"]
    assert bench.kafka.group == {TopicPartition(IN, 0): 2}
    assert bench.watching.doubts == doubt
    assert bench.overlay.writes == {}
    assert bench.trackers[IN].position() == SourcePosition(next=2)
    assert bench.in_step()


async def test_doubt_about_a_second_try_is_resolved_as_well(bench):
    bench.transactor.next += [lost_request, lost_request, lost_reply]
    bench.deliver(0)
    bench.settle(0)
    await bench.committer.flush()
    assert bench.results() == [b"0"]
    assert bench.watching.doubts == ["not_committed", "not_committed", "committed"]


async def test_a_commit_after_a_resolved_doubt_counts_on(bench):
    bench.transactor.next.append(lost_reply)
    bench.deliver(0, 1)
    bench.settle(0)
    await bench.committer.flush()
    bench.settle(1)
    await bench.committer.flush()
    assert bench.results() == [b"0", b"1"]
    assert bench.position.number == 2
    assert bench.in_step()


async def test_a_doubt_that_ended_well_ends_a_hold(bench):
    bench.transactor.next += [failed(KafkaError()), lost_reply]
    bench.deliver(0)
    bench.settle(0)
    await bench.committer.flush()
    assert bench.watching.holds[-1] is False


async def test_a_fenced_task_publishes_nothing_more(bench):
    bench.transactor.next.append(fenced)
    bench.deliver(0)
    bench.settle(0)
    with pytest.raises(ReplacedError):
        await bench.committer.flush()
    assert bench.results() == []
    assert bench.trackers[IN].position().next == 0


@pytest.mark.parametrize("doing", [lost_request, failed(KafkaError())])
async def test_another_token_in_the_record_means_replaced(bench, doing):
    rival = Bench(kafka=bench.kafka)

    def rivalled(transactor, records, offsets):
        outcome = doing(transactor, records, offsets)
        stolen = Position(token=RIVAL, number=0, shape="shape")
        topic = changelog(GROUP, TASKS)
        rival.kafka.commit(
            [
                module.Outgoing(
                    topic=topic, partition=0, key=POSITION_KEY, value=stolen.pack()
                )
            ],
            {},
        )
        return outcome

    bench.transactor.next.append(rivalled)
    bench.deliver(0)
    bench.settle(0)
    with pytest.raises(ReplacedError):
        await bench.committer.flush()
    assert bench.results() == []
    assert bench.watching.doubts == ["replaced"]


async def test_a_zombie_with_the_rivals_number_does_not_take_it_for_its_own(bench):
    # The rival's commit had the number that is in doubt here.
    rival = Bench(kafka=bench.kafka)
    bench.deliver(0)
    bench.settle(0)

    async def rival_takes_over() -> None:
        await rival.claim(RIVAL)
        rival.deliver(0)
        rival.settle(0)
        await rival.committer.flush()

    bench.transactor.next.append(lost_request)
    renew = bench.transactor.renew

    async def late_renew() -> None:
        await rival_takes_over()
        await renew()

    bench.transactor.renew = late_renew
    with pytest.raises(ReplacedError):
        await bench.committer.flush()
    assert bench.results() == [b"0"]


async def test_a_task_whose_partition_is_gone_asks_no_broker(bench):
    bench.transactor.next.append(lost_request)
    bench.mine = False
    bench.deliver(0)
    bench.settle(0)
    epoch = bench.kafka.epochs["t-0"]
    with pytest.raises(ReplacedError):
        await bench.committer.flush()
    assert bench.kafka.epochs["t-0"] == epoch  # nobody else was fenced
    assert bench.watching.doubts == ["replaced"]


async def test_a_broker_that_is_away_is_waited_for(bench):
    bench.kafka.away = True
    bench.deliver(0)
    bench.settle(0)
    flushing = asyncio.create_task(bench.committer.flush())
    await turns(50)
    assert not flushing.done()
    bench.kafka.away = False
    await flushing
    assert bench.results() == [b"0"]


async def test_a_task_without_work_renews_a_producer_whose_broker_went(bench):
    working = asyncio.create_task(bench.committer.work())
    bench.committer.look()
    await turns(20)
    assert bench.transactor.epoch == 1
    bench.transactor.lost_touch = True
    bench.committer.look()
    await until(lambda: bench.transactor.epoch == 2)
    assert not bench.transactor.lost_touch
    bench.committer.close()
    await working


def lapse(bench) -> None:
    """Let the group hear nothing of us for too long, and then hear us again."""
    bench.clock.advance(SESSION_S)
    bench.lease.renewed(bench.clock.monotonic_s())


async def test_who_claimed_a_partition_may_begin_what_costs(bench):
    assert bench.tenure.granted()
    await bench.tenure.wait()
    bench.clock.advance(SESSION_S)
    assert not bench.tenure.granted()


async def test_after_a_lapse_a_transaction_proves_that_nobody_had_the_partition(bench):
    working = asyncio.create_task(bench.committer.work())
    lapse(bench)
    assert not bench.tenure.granted()
    before = len(bench.kafka.transactions)
    await asyncio.wait_for(bench.tenure.wait(), 10)
    assert len(bench.kafka.transactions) == before + 1
    assert bench.tenure.granted()
    bench.committer.close()
    await working


async def test_who_slept_while_another_had_the_partition_begins_nothing_more(bench):
    rival = await Bench(kafka=bench.kafka).claim(RIVAL)
    working = asyncio.create_task(bench.committer.work())
    lapse(bench)
    waiting = asyncio.create_task(bench.tenure.wait())
    with pytest.raises(ReplacedError):
        await working
    assert not waiting.done()
    waiting.cancel()
    assert rival.tenure.granted()


async def test_a_partition_that_came_back_before_its_loss_was_noticed_is_doubted(bench):
    now_s = bench.clock.monotonic_s()
    bench.lease.given([1], now_s)
    bench.lease.given([0, 1], now_s)
    assert not bench.tenure.granted()
    await bench.committer.flush()
    assert bench.tenure.granted()


async def test_a_transaction_that_was_begun_before_a_lapse_proves_nothing(bench):
    def asleep(transactor, records, offsets):
        lapse(bench)
        return Committed(next_offsets=transactor.kafka.commit(records, offsets))

    bench.transactor.next.append(asleep)
    bench.deliver(0)
    bench.settle(0)
    await bench.committer.flush()
    assert not bench.tenure.granted()


async def test_a_damaged_record_is_no_proof_of_anything(bench):
    def damage(transactor, records, offsets):
        outcome = lost_request(transactor, records, offsets)
        bench.kafka.commit(
            [
                module.Outgoing(
                    topic=changelog(GROUP, TASKS),
                    partition=0,
                    key=POSITION_KEY,
                    value=b"\x02newer",
                )
            ],
            {},
        )
        return outcome

    bench.transactor.next.append(damage)
    bench.deliver(0)
    bench.settle(0)
    with pytest.raises(StateError):
        await bench.committer.flush()
    assert bench.results() == []


def refuses(*values: bytes, error: BaseException | None = None):
    """Refuse records with these values, for ever."""
    reason = error or MessageSizeTooLargeError()
    return lambda record: reason if record.value in values else None


async def test_only_the_culprit_of_a_refused_group_is_replaced(bench):
    bench.kafka.refuses = refuses(b"2")
    bench.deliver(0, 1, 2, 3, 4)
    for offset in range(5):
        bench.settle(offset)
    await bench.committer.flush()
    assert bench.results() == [b"0", b"1", b"error", b"3", b"4"]
    assert bench.kafka.group == {TopicPartition(IN, 0): 5}
    assert bench.overlay.writes == {}
    assert bench.in_step()


async def test_no_position_written_while_isolating_covers_what_is_not_settled(bench):
    bench.kafka.refuses = refuses(b"1")
    bench.deliver(0, 1, 2)
    for offset in (2, 1, 0):
        bench.settle(offset)
    await bench.committer.flush()
    answered: set[int] = set()
    for transaction in bench.kafka.transactions[1:]:
        answered |= {int(r.key or b"") for r in transaction.records if r.topic == OUT}
        [stored] = [r.value for r in transaction.records if r.key == POSITION_KEY]
        position = Position.unpack(stored or b"").sources[IN]
        assert {o for o in range(9) if position.covers(o)} == answered
        assert transaction.offsets == {TopicPartition(IN, 0): position.next}
    assert answered == {0, 1, 2}


async def test_a_doubt_while_isolating_loses_and_doubles_nothing(bench):
    bench.kafka.refuses = refuses(b"1")
    refusal = failed(MessageSizeTooLargeError(), OUT)
    bench.transactor.next += [refusal, lost_reply, refusal, lost_request, lost_reply]
    bench.deliver(0, 1, 2)
    for offset in range(3):
        bench.settle(offset)
    await bench.committer.flush()
    assert bench.results() == [b"0", b"error", b"2"]
    assert bench.in_step()


async def test_the_reason_of_a_refusal_reaches_who_settles_instead(bench):
    reasons: list[str] = []

    def instead(reason: str) -> Pending:
        reasons.append(reason)
        return Pending(settlement=answer(0, b"error"), instead=lambda _: None)

    bench.kafka.refuses = refuses(b"0")
    bench.deliver(0)
    bench.committer.settle(Pending(settlement=answer(0), instead=instead))
    await bench.committer.flush()
    assert reasons[0].startswith(f"{OUT}: ")


async def test_what_stands_for_a_refused_settlement_may_be_refused_as_well(bench):
    bench.kafka.refuses = refuses(b"0", b"error")
    bench.deliver(0)
    tiny = Pending(settlement=answer(0, b"!"), instead=lambda _: None)
    error = Pending(settlement=answer(0, b"error"), instead=lambda _: tiny)
    bench.committer.settle(Pending(settlement=answer(0), instead=lambda _: error))
    await bench.committer.flush()
    assert bench.results() == [b"!"]
    assert bench.overlay.writes == {}


async def test_what_stands_for_a_refused_settlement_hides_nothing_that_came_later(
    bench,
):
    """Both write the session: who reads it must go on from the later turn."""
    seen: list[bytes | None] = []

    def refused(record: Outgoing) -> BaseException | None:
        seen.append(bench.overlay.writes[SESSIONS, b"s"].value)
        culprit = record.topic == OUT and record.value == b"0"
        return MessageSizeTooLargeError() if culprit else None

    smaller = replace(answer(0, b"error"), writes=answer(0).writes)
    last = Pending(settlement=smaller, instead=lambda _: None)
    bench.deliver(0, 1)
    bench.committer.settle(Pending(settlement=answer(0), instead=lambda _: last))
    bench.settle(1)
    bench.kafka.refuses = refused
    await bench.committer.flush()
    assert bench.results() == [b"error", b"1"]
    assert set(seen) == {b"1"}
    assert bench.overlay.writes == {}
    assert bench.stores[SESSIONS].get(b"s") == b"1"


async def test_what_stands_for_a_refused_settlement_is_seen_at_once(bench):
    seen: list[bytes | None] = []

    def refused(record: Outgoing) -> BaseException | None:
        seen.append(bench.overlay.writes[SESSIONS, b"s"].value)
        culprit = record.topic == OUT and record.value == b"0"
        return MessageSizeTooLargeError() if culprit else None

    write = Write(table=SESSIONS, key=b"s", value=b"counted")
    smaller = replace(answer(0, b"error"), writes=(write,))
    last = Pending(settlement=smaller, instead=lambda _: None)
    bench.deliver(0)
    bench.committer.settle(Pending(settlement=answer(0), instead=lambda _: last))
    bench.kafka.refuses = refused
    await bench.committer.flush()
    assert seen[-1] == b"counted"
    assert bench.stores[SESSIONS].get(b"s") == b"counted"


async def test_what_nothing_can_stand_for_holds_the_task_until_it_is_taken(bench):
    bench.kafka.refuses = refuses(b"0")
    bench.deliver(0, 1)
    bench.settle(0, instead=None)
    bench.settle(1)
    flushing = asyncio.create_task(bench.committer.flush())
    await until(lambda: bench.transactor.attempts > 10)
    assert bench.results() == []
    assert bench.watching.holds[-1] is True
    bench.kafka.refuses = lambda _: None
    await flushing
    assert bench.results() == [b"0", b"1"]
    assert bench.watching.holds[-1] is False


async def test_a_long_hold_does_not_pile_up(bench):
    bench.kafka.refuses = refuses(b"0")
    bench.deliver(0)
    bench.settle(0, instead=None)
    flushing = asyncio.create_task(bench.committer.flush())
    await until(lambda: bench.transactor.attempts > 1_500 or flushing.done())
    bench.kafka.refuses = lambda _: None
    await flushing
    assert bench.results() == [b"0"]


async def test_what_is_not_the_records_fault_waits_and_replaces_nothing(bench):
    bench.kafka.refuses = refuses(b"0", error=TopicAuthorizationFailedError())
    bench.deliver(0, 1)
    bench.settle(0)
    bench.settle(1)
    flushing = asyncio.create_task(bench.committer.flush())
    await until(lambda: bench.transactor.attempts > 5)
    assert bench.watching.holds[-1] is True
    bench.kafka.refuses = lambda _: None
    await flushing
    assert bench.results() == [b"0", b"1"]


@pytest.mark.parametrize("error", [MessageSizeTooLargeError(), KafkaError()])
async def test_abandoning_ends_a_committer_that_holds(bench, error):
    bench.kafka.refuses = refuses(b"0", error=error)
    bench.deliver(0)
    bench.settle(0, instead=None)
    working = asyncio.create_task(bench.committer.work())
    await until(lambda: bench.transactor.attempts > 3)
    bench.committer.close(abandon=True)
    with pytest.raises(ReplacedError):
        await asyncio.wait_for(working, 2)
    assert bench.results() == []


async def test_abandoning_ends_a_committer_whose_broker_is_away(bench):
    bench.kafka.away = True
    bench.deliver(0)
    bench.settle(0)
    working = asyncio.create_task(bench.committer.work())
    await turns()
    bench.committer.close(abandon=True)
    with pytest.raises(ReplacedError):
        await asyncio.wait_for(working, 2)


async def test_a_closing_committer_takes_what_is_pending_with_it(bench):
    bench.deliver(0)
    bench.settle(0)
    bench.committer.close()
    await bench.committer.work()
    assert bench.results() == [b"0"]


async def test_closing_during_a_commit_loses_nothing_that_was_settled_meanwhile(bench):
    bench.transactor.gate = asyncio.Event()
    bench.deliver(0, 1)
    bench.settle(0)
    working = asyncio.create_task(bench.committer.work())
    await until(bench.transactor.under_way.is_set)
    bench.settle(1)
    bench.committer.close()
    bench.transactor.gate.set()
    await working
    assert bench.results() == [b"0", b"1"]


async def test_an_abandoned_committer_leaves_what_is_pending(bench):
    bench.deliver(0)
    bench.settle(0)
    bench.committer.close(abandon=True)
    await bench.committer.work()
    assert bench.results() == []
    assert bench.trackers[IN].position().next == 0


async def test_a_committer_that_worked_for_long_commits_many_times(bench):
    working = asyncio.create_task(bench.committer.work())
    for offset in range(5):
        bench.deliver(offset)
        bench.settle(offset)
        await until(lambda at=offset: len(bench.results()) == at + 1)
    bench.committer.close()
    await working
    assert len(bench.watching.commits) == 5


async def test_a_settlement_after_an_idle_hour_is_not_late_at_once(bench):
    bench.clock.advance(3_600)
    bench.deliver(0)
    bench.settle(0)
    assert bench.committer.last_progress_s == bench.clock.monotonic_s()


async def test_the_backlog_counts_what_is_on_its_way(bench):
    bench.transactor.gate = asyncio.Event()
    bench.deliver(0)
    bench.settle(0)
    flushing = asyncio.create_task(bench.committer.flush())
    await until(bench.transactor.under_way.is_set)
    assert bench.committer.backlog == 1
    assert bench.committer.backlog_bytes > 0
    bench.transactor.gate.set()
    await flushing
    assert bench.committer.backlog == 0
    assert bench.committer.backlog_bytes == 0


async def test_what_was_committed_is_in_rocksdb_after_reopening(tmp_path):
    engine = Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)

    def opened():
        return {table: KeyStore(engine, tmp_path / table / "0") for table in TABLES}

    bench = await Bench(stores=opened()).claim()
    bench.transactor.next += [lost_reply, lost_request]
    bench.deliver(0, 1)
    for offset in (0, 1):
        bench.settle(offset)
        await bench.committer.flush()
    assert bench.in_step()
    for store in bench.stores.values():
        store.close()
    bench.stores = opened()
    assert bench.in_step()
    for store in bench.stores.values():
        store.close()


@settings(max_examples=60)
@given(
    fates=st.lists(
        st.sampled_from(
            [
                lost_reply,
                lost_request,
                failed(KafkaError()),
                failed(MessageSizeTooLargeError(), OUT),
            ]
        ),
        max_size=8,
    ),
    groups=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    culprits=st.sets(st.integers(0, 15), max_size=3),
)
def test_every_record_is_answered_once_and_in_order_under_any_faults(
    fates, groups, culprits
):
    async def scenario() -> None:
        bench = await Bench().claim()
        bench.kafka.refuses = refuses(*(b"%d" % culprit for culprit in culprits))
        bench.transactor.next += fates
        total = sum(groups)
        bench.deliver(*range(total))
        offsets = iter(range(total))
        for size in groups:
            for _ in range(size):
                bench.settle(next(offsets))
            await bench.committer.flush()
        keys = [int(record.key or b"") for record in bench.kafka.read(OUT)]
        assert keys == list(range(total))
        assert bench.position.sources[IN] == SourcePosition(next=total)
        assert bench.overlay.writes == {}
        assert bench.in_step()

    asyncio.run(scenario())


def test_finished_offsets_are_grouped_by_topic():
    other = Settlement(source=Source(topic="b", partition=0, offset=1))
    assert finished_offsets([answer(1), answer(2), other, Settlement()]) == {
        IN: frozenset({1, 2}),
        "b": frozenset({1}),
    }


async def test_committed_is_what_a_good_transaction_says(bench):
    assert isinstance(await bench.transactor.commit([], {}), Committed)
