"""Agents of pipelines: from a record's bytes to the settlement that answers it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from agents.execution import Arrived, Execution, Parts
from agents.ledger import LedgerEntry, ledger_key
from agents.metrics import Metrics
from agents.pending import Pending
from agents.pipelines import MAX_ID_CHARS, PipelineAgent
from agents.record import Record, origin_of
from agents.routing import home_partition
from agents.schemas import SchemaFinder
from agents.serde import ENVELOPE_BYTES, Serde, Topics
from agents.tables import JOURNAL, LEDGER, SESSIONS, UnreadableStoreError
from agents.task import Admitted
from schemas.codec import ParsedSchema, decode, encode, frame
from schemas.envelopes import result_of, stage_result_of
from schemas.errors import UnknownSchemaError
from schemas.records import Request, Result, Source, StageResult, Usage
from schemas.shapes import namespace_of
from streams.catalog import STAGE_KINDS
from streams.clock import ManualClock
from streams.config import Settings
from streams.journal import (
    CallEntry,
    RunHeader,
    StageEntry,
    entry_key,
    pack,
    unpack,
)
from streams.permit import ALWAYS, Permit
from streams.pipeline import Toolbox, compile_text
from streams.session import Session
from streams.settlement import Progress, Publish
from streams.user_code import UserCode

PIPELINE = """
pipeline: support
version: 3
input: "text: str"
output: "reply: str"
session: {ttl: 1h, history: 5}
stages:
  first: {transform: "tests.agents.test_edge_execution:first", inline: true}
  last: {transform: "tests.agents.test_edge_execution:last", inline: true}
flow: [first, last]
"""
LIMIT = 100_000
PARTITIONS = 4
TOPICS = Topics.of("penstock", "support")


class First(TypedDict):
    """What the first stage leaves."""

    draft: str


class Last(TypedDict):
    """What the last stage leaves."""

    reply: str


def first(text: str) -> First:
    """Prepare an answer, or show what may go wrong."""
    return {"draft": "x" * LIMIT if text == "huge draft" else text}


def last(draft: str) -> Last:
    """Answer, or fail in the way that the text asks for."""
    if draft.startswith("bug"):
        raise ZeroDivisionError(draft)
    odd = {"huge": "x" * LIMIT, "huge draft": "short", "half": "\ud800"}
    return {"reply": odd.get(draft, draft.upper()[:100])}


@dataclass
class FakeView:
    """A task as a run sees it; what is settled is written at once."""

    partition: int = 0
    tables: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    journal: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)
    settled: list[Pending] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    permit: Permit = ALWAYS

    def get(self, table: str, key: bytes) -> bytes | None:
        return self.tables.get((table, key))

    def settle(self, pending: Pending) -> None:
        self.settled.append(pending)
        for write in pending.settlement.writes:
            if write.value is None:
                self.tables.pop((write.table, write.key), None)
            else:
                self.tables[write.table, write.key] = write.value

    def journalled(self, run: bytes) -> Mapping[bytes, bytes]:
        return self.journal.pop(run, {})

    def refuse(self, request_id: str) -> None:
        self.refusals.append(request_id)

    def refused(self) -> list[str]:
        return self.refusals


def turns_left(pending: Pending) -> tuple[int, tuple[str, ...]]:
    """Return the turns of the session that *pending* writes, and whose they are."""
    [(_key, stored)] = table(pending, SESSIONS).items()
    session = Session.unpack("s", stored)
    return session.turns, tuple(turn.request_id for turn in session.history)


class Bench:
    """The agent of one pipeline, with real schemas and a registry of its own."""

    def __init__(self, text: str = PIPELINE) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.view = FakeView()
        self.offset = 0
        code = UserCode(["tests.agents.test_edge_execution"])
        self.pipeline = compile_text(
            text,
            "here",
            Toolbox(kinds=STAGE_KINDS, open_lm=lambda *_: None, code=code),
        )
        self.registry: dict[int | str, str] = {}
        self.finder = SchemaFinder(self.ask, self.clock, wait_s=0)
        namespace = namespace_of("penstock", "support")
        self.requests = self.schema(self.pipeline.request_schema(namespace))
        self.stages = self.schema(self.pipeline.stage_result_schema(namespace))
        self.results = self.schema(self.pipeline.result_schema(namespace))
        serde = Serde(
            pipeline="support",
            topics=TOPICS,
            find=self.finder.find,
            stage_schema=self.stages,
            result_schema=self.results,
            limit_bytes=LIMIT,
        )
        self.parts = Parts(
            pipeline=self.pipeline,
            serde=serde,
            clock=self.clock,
            metrics=self.metrics,
            group="penstock-main",
            limit_bytes=LIMIT - ENVELOPE_BYTES,
        )
        self.agent = PipelineAgent(
            self.parts, Settings(partitions=PARTITIONS), self.finder
        )

    async def ask(self, ref: int | str) -> str:
        try:
            return self.registry[ref]
        except KeyError:
            raise UnknownSchemaError(ref) from None

    def schema(self, schema: dict) -> ParsedSchema:
        parsed = ParsedSchema.of(schema, subject="s")
        self.finder.add(parsed)
        return parsed

    def value(self, text: str = "hello", request_id: str = "r", **envelope) -> bytes:
        request = {"request_id": request_id, "inputs": {"text": text}, **envelope}
        return frame(self.requests.id, encode(self.requests, request))

    def record(self, value: bytes | None, home: str = "r", **of) -> Record:
        self.offset += 1
        given = Record(
            topic=TOPICS.requests,
            partition=home_partition(home, PARTITIONS),
            offset=self.offset,
            key=home.encode(),
            value=value,
            timestamp_ms=self.clock.now_ms() - 5,
        )
        return replace(given, **of)

    def request(self, text: str = "hello", request_id: str = "r", **of) -> Record:
        session_id = of.pop("session_id", None)
        envelope = {k: of.pop(k) for k in ("pipeline", "deadline_ms") if k in of}
        value = self.value(text, request_id, session_id=session_id, **envelope)
        return self.record(value, session_id or request_id, **of)

    async def answer(self, record: Record) -> Pending:
        """Take *record* to its end; settle it."""
        decision = self.agent.admit(record)
        if isinstance(decision, Admitted):
            decision = await decision.execute(self.view)
        assert decision.settlement.source == record.source
        self.view.settle(decision)
        return decision

    def result(self, pending: Pending) -> Result:
        [published] = of_topic(pending, TOPICS.results)
        return result_of(self.decoded(published, self.results))

    def stage(self, pending: Pending) -> StageResult:
        [published] = of_topic(pending, TOPICS.stages)
        return stage_result_of(self.decoded(published, self.stages))

    def decoded(self, published: Publish, schema: ParsedSchema) -> dict:
        return decode(published.value or b"", start=5, schema=schema, limit_bytes=9**9)

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def of_topic(pending: Pending, topic: str) -> list[Publish]:
    return [record for record in pending.settlement.records if record.topic == topic]


def letter(pending: Pending) -> Publish:
    [published] = of_topic(pending, TOPICS.dlq)
    return published


def code(pending: Pending) -> str:
    return dict(letter(pending).headers)["x-penstock-code"].decode()


def fits(pending: Pending) -> bool:
    """Say whether Kafka would take every record, headers and all."""
    records, writes = pending.settlement.records, pending.settlement.writes
    sizes = [
        len(r.key or b"")
        + len(r.value or b"")
        + sum(len(name) + len(value or b"") for name, value in r.headers)
        for r in records
    ]
    sizes += [len(w.key) + len(w.value or b"") for w in writes]
    return max(sizes) <= LIMIT


def table(pending: Pending, name: str) -> dict[bytes, bytes | None]:
    return {w.key: w.value for w in pending.settlement.writes if w.table == name}


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(autouse=True)
def _quiet():
    # Pretty tracebacks of exceptions that are meant to be raised take a second each.
    with capture_logs():
        yield


async def test_a_request_gets_its_stage_records_and_one_result(bench):
    record = bench.request()
    pending = await bench.answer(record)
    result = bench.result(pending)
    assert (result.status, result.outputs) == ("OK", {"reply": "HELLO"})
    assert result.source == record.source
    assert (bench.stage(pending).stage, bench.stage(pending).sequence) == ("last", 2)
    [progress, _] = bench.view.settled
    assert bench.stage(progress).stage == "first"
    assert progress.settlement.source is None
    assert {p.key for p in pending.settlement.records} == {b"r"}


async def test_the_end_takes_the_journal_away_and_remembers_the_id(bench):
    record = bench.request()
    pending = await bench.answer(record)
    journal = table(bench.view.settled[0], JOURNAL)
    assert journal
    assert None not in journal.values()
    assert table(pending, JOURNAL) == dict.fromkeys(journal)
    [(key, value)] = table(pending, LEDGER).items()
    assert key == ledger_key("support", "r", "r", 0)
    assert LedgerEntry.unpack(value or b"") == LedgerEntry(
        at_ms=bench.clock.now_ms(),
        topic=TOPICS.requests,
        partition=record.partition,
        offset=record.offset,
    )


async def test_a_second_record_with_an_id_adds_no_terminal(bench):
    await bench.answer(bench.request())
    pending = await bench.answer(bench.request("something else"))
    assert pending.settlement.records == ()
    assert pending.settlement.writes == ()
    assert bench.sample("penstock_repeated_total", pipeline="support") == 1


async def test_an_id_in_another_session_or_replay_is_another_request(bench):
    await bench.answer(bench.request())
    for record in (
        bench.request(session_id="s"),
        bench.request(headers=[("x-penstock-replay", b"1")]),
    ):
        assert bench.result(await bench.answer(record)).status == "OK"


async def test_a_replay_says_so_in_its_records(bench):
    record = bench.request(headers=[("x-penstock-replay", b"2")])
    pending = await bench.answer(record)
    assert bench.result(pending).replay == 2
    assert bench.stage(pending).replay == 2


async def test_a_request_that_names_another_pipeline_is_rejected_and_blocks_none(bench):
    pending = await bench.answer(bench.request(pipeline="billing"))
    result = bench.result(pending)
    assert (result.status, result.pipeline) == ("REJECTED", "support")
    [key] = table(pending, LEDGER)
    assert key == ledger_key("support", "r", "r", 0)


async def test_a_long_name_of_another_pipeline_still_gets_an_answer(bench):
    pending = await bench.answer(bench.request(pipeline="p" * (LIMIT - 200)))
    assert bench.result(pending).status in {"REJECTED", "ERROR"}
    assert fits(pending)


async def test_a_deadline_that_passed_expires_the_request(bench):
    record = bench.request(deadline_ms=bench.clock.now_ms())
    assert bench.result(await bench.answer(record)).status == "EXPIRED"


async def test_a_session_counts_its_turns_and_remembers_them(bench):
    for turn in (1, 2):
        record = bench.request(f"t{turn}", f"r{turn}", session_id="s")
        pending = await bench.answer(record)
        assert bench.result(pending).turn == turn
    session = Session.unpack("s", table(pending, SESSIONS)[b"s"] or b"")
    assert [turn.request_id for turn in session.history] == ["r1", "r2"]


async def test_a_session_that_cannot_be_read_is_an_error_and_stays(bench):
    bench.view.tables[SESSIONS, b"s"] = b"\x00"
    pending = await bench.answer(bench.request(session_id="s"))
    result = bench.result(pending)
    assert (result.status, result.error.code) == ("ERROR", "state")
    assert table(pending, SESSIONS) == {}


async def test_a_bug_leaves_its_error_and_the_original_bytes(bench):
    record = bench.request("bug here", headers=[("tenant", b"t")])
    pending = await bench.answer(record)
    assert bench.result(pending).error.code == "stage.bug"
    assert code(pending) == "stage.bug"
    assert letter(pending).value == record.value
    assert ("tenant", b"t") in letter(pending).headers
    assert b"ZeroDivisionError" in dict(letter(pending).headers)["__dlq.errors.message"]


async def test_a_bug_whose_message_is_no_text_is_answered_as_well(bench):
    bench.pipeline.stages[1].stage._function = lambda **_: 1 / 0  # noqa: SLF001 - broken
    assert bench.result(await bench.answer(bench.request())).status == "ERROR"

    def surrogates(**_):
        raise ValueError("\ud800")  # noqa: EM101 - what JSON of an LM may hold

    bench.pipeline.stages[1].stage._function = surrogates  # noqa: SLF001
    pending = await bench.answer(bench.request(request_id="r2"))
    assert bench.result(pending).error.code == "stage.bug"
    assert code(pending) == "stage.bug"


async def test_a_result_that_is_too_large_is_a_turn_without_a_trace(bench):
    pending = await bench.answer(bench.request("huge", session_id="s"))
    result = bench.result(pending)
    assert (result.status, result.error.code) == ("ERROR", "result.too_large")
    assert result.outputs is None
    assert turns_left(pending) == (1, ())
    assert result.turn == 1
    assert table(pending, LEDGER)
    assert fits(pending)


async def test_a_terminal_that_is_replaced_comes_with_the_last_stage_record(bench):
    pending = await bench.answer(bench.request("huge", session_id="s"))
    stage = bench.stage(pending)
    assert (stage.sequence, bench.result(pending).sequence) == (2, 2)
    assert (stage.outputs, stage.error.code) == (None, "result.too_large")
    usual = await bench.answer(bench.request(request_id="r2"))
    refused = usual.instead("no")
    assert bench.stage(refused).error.code == "result.refused"
    assert bench.stage(refused).sequence == bench.result(refused).sequence == 2
    # Refused once more, it is left out, and its number is nobody's.
    barest = refused.instead("no")
    assert bench.result(barest).sequence == 1


async def test_a_session_that_grew_too_large_withholds_the_turn(bench):
    text = "y" * (LIMIT // 3)
    codes = []
    for turn in range(3):
        record = bench.request(text, f"r{turn}", session_id="s")
        error = bench.result(await bench.answer(record)).error
        codes.append(error and error.code)
    assert codes[:1] == [None]
    assert codes[-1] == "result.too_large"


async def test_a_stage_too_large_for_the_journal_is_done_again_if_need_be(bench):
    pending = await bench.answer(bench.request("huge draft"))
    [progress, _] = bench.view.settled
    assert [type(unpack(v)) for v in table(progress, JOURNAL).values()] == [RunHeader]
    assert bench.result(pending).status in {"OK", "ERROR"}
    assert fits(progress)
    assert fits(pending)


async def test_the_record_of_such_a_stage_says_so_and_keeps_its_number(bench):
    pending = await bench.answer(bench.request("huge draft"))
    record = bench.stage(bench.view.settled[0])
    assert (record.sequence, record.status, record.outputs) == (1, "ERROR", None)
    assert record.error.code == "result.too_large"
    assert (bench.stage(pending).sequence, bench.result(pending).sequence) == (2, 2)


async def test_a_call_too_large_for_the_journal_takes_no_other_entry_with_it(bench):
    arrived = Arrived(
        record=bench.request(),
        pipeline="support",
        request=Request(request_id="r", pipeline="support", inputs={}),
        origin=Source(topic=TOPICS.requests, partition=0, offset=1),
        replay=0,
    )
    emit = Execution(bench.parts, bench.view, arrived).start().emit
    header = RunHeader(pipeline_version=1, fingerprint="f", started_ms=1, attempt=1)
    small, large = (
        CallEntry(site="s", ordinal=n, digest="d", text=text, usage=Usage())
        for n, text in enumerate(["short", "x" * LIMIT])
    )
    emit(Progress(entries=(header, small, large)))
    emit(Progress(entries=(large,)))
    [settled] = bench.view.settled
    assert [unpack(v) for v in table(settled, JOURNAL).values()] == [header, small]


async def test_an_output_that_no_encoding_takes_is_an_error(bench):
    pending = await bench.answer(bench.request("half"))
    assert bench.result(pending).status == "ERROR"
    assert table(pending, LEDGER)


async def test_what_kafka_refuses_is_answered_with_an_error_instead(bench):
    pending = await bench.answer(bench.request(session_id="s"))
    instead = pending.instead("MessageSizeTooLarge")
    result = bench.result(instead)
    assert (result.status, result.error.code) == ("ERROR", "result.refused")
    assert instead.settlement.source == pending.settlement.source
    assert turns_left(instead) == (1, ())
    assert result.turn == 1
    smaller = instead.instead("again")
    # Whoever came next has seen the turn: it stays one, as long as Kafka takes it.
    assert bench.result(smaller).turn == 1
    assert bench.result(smaller).error.code == "result.refused"
    assert turns_left(smaller) == (1, ())
    assert len(smaller.settlement.records) == 1
    barest = smaller.instead("and again")
    assert bench.result(barest).turn is None
    assert table(barest, SESSIONS) == {}
    assert barest.instead("and again") is None


async def test_a_run_that_saw_a_refused_turn_forgets_it_before_it_fails(bench):
    first = await bench.answer(bench.request(session_id="s", request_id="r1"))
    second = await bench.answer(bench.request(session_id="s", request_id="r2"))
    first.instead("MessageSizeTooLarge")
    instead = second.instead("MessageSizeTooLarge")
    assert bench.result(instead).status == "OK"
    assert turns_left(instead) == (2, ("r2",))


async def test_a_run_behind_a_refused_turn_never_shows_it(bench):
    first = await bench.answer(bench.request(session_id="s", request_id="r1"))
    first.instead("MessageSizeTooLarge")
    second = await bench.answer(bench.request(session_id="s", request_id="r2"))
    assert turns_left(second) == (2, ("r2",))


async def test_a_stage_record_that_kafka_refuses_leaves_its_journal_entry(bench):
    await bench.answer(bench.request())
    progress = bench.view.settled[0]
    smaller = progress.instead("no")
    assert bench.stage(smaller).error.code == "result.refused"
    assert bench.stage(smaller).sequence == 1
    bare = smaller.instead("no").settlement
    assert bare.records == ()
    assert smaller.settlement.writes == bare.writes == progress.settlement.writes


async def test_a_bug_keeps_its_error_when_its_diagnostic_is_refused(bench):
    def broken() -> None:
        raise ZeroDivisionError

    bench.view.get = lambda *_: broken()
    pending = await bench.answer(bench.request())
    assert code(pending) == "stage.bug"
    instead = pending.instead("too large")
    assert of_topic(instead, TOPICS.dlq) == []
    error = bench.result(instead).error
    assert error.code == "stage.bug"
    assert "ZeroDivisionError" in error.message


@pytest.mark.parametrize(
    "failure",
    [MemoryError(), UnreadableStoreError(Path("s"), "Corruption", damaged=True)],
    ids=["memory", "store"],
)
async def test_what_is_no_fault_of_a_request_is_no_answer_to_it(bench, failure):
    def failing() -> None:
        raise failure

    bench.view.get = lambda *_: failing()
    with pytest.raises(type(failure)):
        await bench.answer(bench.request())


def entries_of(settled: list[Pending]) -> dict[bytes, bytes]:
    run = ledger_key("support", "r", "r", 0) + b"\0\0"
    return {
        key.removeprefix(run): value
        for pending in settled
        for key, value in table(pending, JOURNAL).items()
        if value is not None
    }


async def test_a_resumed_run_repeats_no_finished_stage_and_clears_all_entries(bench):
    record = bench.request()
    await bench.answer(record)
    entries = entries_of(bench.view.settled[:1])
    assert {type(unpack(value)) for value in entries.values()} == {
        RunHeader,
        StageEntry,
    }
    later = Bench()
    run = ledger_key("support", "r", "r", 0)
    later.view.journal[run] = entries
    pending = await later.answer(record)
    assert len(later.view.settled) == 1
    assert later.result(pending).outputs == {"reply": "HELLO"}
    assert later.stage(pending).sequence == 2
    names = {run + b"\0\0" + name for name in entries}
    assert table(pending, JOURNAL) == dict.fromkeys(names)


FLOWING = """
pipeline: support
version: 3
progress: all
input: "text: str, drafts: list[str] = ['a', 'b']"
output: "reply: str, replies: list[str]"
stages:
  each: {transform: "tests.agents.test_edge_execution:last", inline: true}
  first: {transform: "tests.agents.test_edge_execution:first", inline: true}
  last:
    transform: "tests.agents.test_edge_execution:last"
    inline: true
    attempts: 1
    on_failure: skip
flow:
  - {map: [each], over: drafts, each: draft, collect: {reply: replies}, width: 2}
  - first
  - last
"""


async def test_a_result_with_a_hole_is_partial_and_its_events_are_all_told():
    flowing = Bench(FLOWING)
    pending = await flowing.answer(flowing.request("bug"))
    result = flowing.result(pending)
    assert (result.status, result.error.code) == ("PARTIAL", "stage.bug")
    assert result.outputs == {"reply": None, "replies": ["A", "B"]}
    settled = flowing.view.settled
    told = [flowing.stage(p) for p in settled if of_topic(p, TOPICS.stages)]
    assert [record.sequence for record in told] == list(range(1, len(told) + 1))
    assert result.sequence == told[-1].sequence
    assert {r.path for r in told if r.event == "finished"} == {
        "map.1/0/each",
        "map.1/1/each",
        "first",
        "last",
    }
    assert [r.percent for r in told if r.event == "percent"] == [50, 100]
    assert set(table(pending, JOURNAL)) == {
        key for each in flowing.view.settled for key in table(each, JOURNAL)
    }


async def test_a_journal_that_cannot_be_read_is_an_error_and_is_cleared(bench):
    run = ledger_key("support", "r", "r", 0)
    bench.view.journal[run] = {b"h": b"\x00"}
    pending = await bench.answer(bench.request())
    assert bench.result(pending).error.code == "state"
    assert table(pending, JOURNAL) == {run + b"\0\0h": None}


async def test_a_broken_session_leaves_no_journal_behind(bench):
    run = ledger_key("support", "s", "r", 0)
    bench.view.tables[SESSIONS, b"s"] = b"\x00"
    entry = RunHeader(pipeline_version=3, fingerprint="f", started_ms=1, attempt=1)
    bench.view.journal[run] = {entry_key(entry).encode(): pack(entry)}
    pending = await bench.answer(bench.request(session_id="s"))
    assert table(pending, JOURNAL) == {run + b"\0\0h": None}


async def test_headers_that_concern_the_caller_are_echoed_once_and_short(bench):
    mine = [("correlation-id", b"c"), ("traceparent", b"t")]
    others = [("x", b"y"), ("tracestate", b"s" * 2_000)]
    pending = await bench.answer(bench.request(headers=[*mine, *others]))
    assert [list(p.headers) for p in pending.settlement.records] == [mine, mine]


async def test_headers_never_make_an_answer_too_large(bench):
    headers = [("correlation-id", b"c" * 1_000)] * 200
    pending = await bench.answer(bench.request(headers=headers))
    assert fits(pending)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "decode.empty"),
        (b"", "decode.empty"),
        (b'{"json": 1}', "decode.magic"),
        (b"\0\0", "decode.truncated"),
        (b"\0" + b"x" * LIMIT, "decode.unknown_schema"),
    ],
)
async def test_bytes_that_are_no_request_become_a_dead_letter(bench, value, expected):
    record = bench.record(value, headers=[("mine", b"1")])
    if expected == "decode.unknown_schema":
        with pytest.raises(UnknownSchemaError) as caught:
            bench.agent.admit(record)
        await bench.agent.learn(caught.value)
    pending = await bench.answer(record)
    assert code(pending) == expected
    published = letter(pending)
    assert (published.key, published.value) == (record.key, record.value)
    assert published.headers[0] == ("mine", b"1")
    why = dict(published.headers)
    assert why["__dlq.errors.topic"] == TOPICS.requests.encode()
    assert why["__dlq.errors.partition"] == b"%d" % record.partition
    assert why["__dlq.errors.offset"] == b"%d" % record.offset
    assert why["__dlq.errors.group"] == b"penstock-main"
    labels = {"pipeline": "support", "code": expected}
    assert bench.sample("penstock_dead_letters_total", **labels) == 1


async def test_bytes_behind_or_missing_from_a_request_are_named(bench):
    value = bench.value()
    assert code(await bench.answer(bench.record(value + b"x"))) == "decode.trailing"
    assert code(await bench.answer(bench.record(value[:-1]))) == "decode.truncated"


async def test_a_request_beyond_the_limit_is_a_dead_letter_that_can_be_bare(bench):
    pending = await bench.answer(bench.request("x" * LIMIT))
    assert code(pending) == "decode.oversize"
    bare = pending.instead("MessageSizeTooLarge")
    assert bare.settlement.source == pending.settlement.source
    assert letter(bare).value is None
    assert code(bare) == "decode.oversize"
    why = dict(letter(bare).headers)
    assert int(why["x-penstock-truncated"]) > LIMIT
    assert "__dlq.errors.offset" in why
    assert fits(bare)


async def test_a_letter_that_fails_again_has_one_reason_of_each_name(bench):
    pending = await bench.answer(bench.record(b"junk"))
    again = bench.record(b"junk", headers=letter(pending).headers)
    names = [name for name, _ in letter(await bench.answer(again)).headers]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("envelope", "home"),
    [
        ({"request_id": ""}, "x"),
        ({"request_id": "a\0b"}, "a\0b"),
        ({"request_id": "x" * (MAX_ID_CHARS + 1)}, "x" * (MAX_ID_CHARS + 1)),
        ({"session_id": "s\0"}, "s\0"),
        ({"session_id": "s" * (MAX_ID_CHARS + 1)}, "s"),
    ],
)
async def test_ids_that_cannot_be_keys_make_dead_letters(bench, envelope, home):
    pending = await bench.answer(bench.record(bench.value(**envelope), home))
    assert code(pending) in {"request.id", "decode.malformed"}


async def test_a_session_id_that_is_empty_is_none(bench):
    pending = await bench.answer(bench.record(bench.value(session_id="")))
    assert bench.result(pending).session_id is None


@pytest.mark.parametrize(
    "headers",
    [
        [("x-penstock-origin", b"")],
        [("x-penstock-origin", b"topic 1")],
        [("x-penstock-origin", b"topic 0 -1")],
        [("x-penstock-origin", b"topic -1 0")],
        [("x-penstock-origin", b"topic 99999999999 0")],
        [("x-penstock-origin", b"topic 0 " + b"9" * 30)],
        [("x-penstock-origin", b"topic 0 " + b"9" * 5_000)],
        [("x-penstock-origin", b"t" * (LIMIT - 500) + b" 0 0")],
        [("x-penstock-origin", b"\xff\xff 0 0")],
        [("x-penstock-replay", b"")],
        [("x-penstock-replay", b"-1")],
        [("x-penstock-replay", b"one")],
        [("x-penstock-replay", b"99999999999")],
        [("x-penstock-replay", b"9" * 5_000)],
    ],
)
async def test_headers_that_we_never_wrote_make_dead_letters(bench, headers):
    assert code(await bench.answer(bench.request(headers=headers))) == "request.header"


async def test_a_forged_origin_can_be_believed_without_harm(bench):
    headers = [("x-penstock-origin", b"other 2147483647 9223372036854775807")]
    pending = await bench.answer(bench.request(headers=headers))
    assert bench.result(pending).source == Source(
        topic="other", partition=2**31 - 1, offset=2**63 - 1
    )


def astray(bench: Bench, **of) -> Record:
    """Return a request in a partition that is not its home."""
    record = bench.request(**of)
    return replace(record, partition=(record.partition + 1) % PARTITIONS)


async def test_a_record_astray_is_sent_home_once_with_all_it_had(bench):
    record = astray(bench, headers=[("mine", b"1")])
    pending = await bench.answer(record)
    [sent] = pending.settlement.records
    assert (sent.topic, sent.key, sent.value) == (TOPICS.requests, b"r", record.value)
    assert sent.partition == home_partition("r", PARTITIONS)
    assert sent.timestamp_ms == record.timestamp_ms
    assert sent.headers[0] == ("mine", b"1")
    assert pending.settlement.writes == ()
    assert bench.sample("penstock_rerouted_total", pipeline="support") == 1
    arrived = replace(record, partition=sent.partition, headers=sent.headers, offset=77)
    assert origin_of(arrived) == record.source
    result = bench.result(await bench.answer(arrived))
    assert (result.status, result.source) == ("OK", record.source)


@pytest.mark.parametrize("key", [None, b"", b"other"])
async def test_a_record_without_its_home_key_is_sent_home_as_well(bench, key):
    [sent] = (await bench.answer(bench.request(key=key))).settlement.records
    assert (sent.topic, sent.key) == (TOPICS.requests, b"r")


async def test_the_home_of_a_session_is_the_sessions(bench):
    value = bench.value(session_id="s")
    record = replace(bench.record(value, home="r"), partition=0)
    [sent] = (await bench.answer(record)).settlement.records
    assert (sent.key, sent.partition) == (b"s", home_partition("s", PARTITIONS))


async def test_a_record_that_was_sent_home_and_is_astray_is_a_dead_letter(bench):
    [sent] = (await bench.answer(astray(bench))).settlement.records
    again = astray(bench, headers=sent.headers)
    assert code(await bench.answer(again)) == "route.loop"


async def test_a_record_too_large_to_be_sent_home_becomes_a_dead_letter(bench):
    pending = await bench.answer(astray(bench))
    instead = pending.instead("MessageSizeTooLarge")
    assert code(instead) == "route.refused"
    assert letter(instead.instead("again")).value is None


async def test_a_schema_that_turns_up_is_learned_without_a_dead_letter(bench):
    other = ParsedSchema.of(
        {
            "type": "record",
            "name": "Mine",
            "fields": [
                {"name": "request_id", "type": "string"},
                {
                    "name": "inputs",
                    "type": {
                        "type": "record",
                        "name": "I",
                        "fields": [{"name": "text", "type": "string"}],
                    },
                },
            ],
        },
        ref=77,
    )
    body = encode(other, {"request_id": "r", "inputs": {"text": "hi"}})
    record = bench.record(frame(77, body))
    with pytest.raises(UnknownSchemaError) as caught:
        bench.agent.admit(record)
    bench.registry[77] = other.text
    await bench.agent.learn(caught.value)
    assert bench.result(await bench.answer(record)).outputs == {"reply": "HI"}


async def test_an_id_that_nobody_knows_is_asked_for_again_later(bench):
    record = bench.record(frame(77, b""))
    with pytest.raises(UnknownSchemaError) as caught:
        bench.agent.admit(record)
    await bench.agent.learn(caught.value)
    assert code(await bench.answer(record)) == "decode.unknown_schema"
    bench.clock.advance(31)
    with pytest.raises(UnknownSchemaError):
        bench.agent.admit(record)


async def test_order_and_slots_are_those_of_the_home(bench):
    admitted = bench.agent.admit(bench.request(session_id="s"))
    assert isinstance(admitted, Admitted)
    assert admitted.key == "s"
    assert admitted.slots is bench.agent.slots


def test_a_request_waits_for_its_slot_as_its_tenant_with_its_priority(bench):
    value = bench.value(tenant="acme", priority=7)
    admitted = bench.agent.admit(bench.record(value))
    assert (admitted.tenant, admitted.priority) == ("acme", 7)
    admitted = bench.agent.admit(bench.request())
    assert (admitted.tenant, admitted.priority) == ("", 0)
