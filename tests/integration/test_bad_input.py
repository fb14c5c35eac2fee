"""Bad input: each record gets its dead letter or its status, and neighbours go on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from agents.routing import home_partition
from schemas.codec import ParsedSchema, encode, frame
from schemas.shapes import namespace_of
from tests.integration.lab import PARTITIONS, Ask, Lab, Raw
from tests.integration.registering import register
from tests.integration.texts import ECHO
from tests.integration.verdict import Terminal, Verdict, answered

PAST_MS = 1_000_000_000_000


@dataclass
class Case:
    """What was sent, and what came of it."""

    raws: dict[str, Raw] = field(default_factory=dict)
    terminals: dict[str, list[Terminal]] = field(default_factory=dict)
    letters: dict[tuple[int, int], list] = field(default_factory=dict)
    repeated: float = 0.0
    rerouted: float = 0.0


class Sender:
    """Sends bad records, each between two good ones."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.topic = lab.topic("echo", "requests")
        self.raws: dict[str, Raw] = {}

    def ask(self, name: str, ticket: str = "hello", **fields: object) -> bytes:
        inputs = {"ticket": ticket}
        ask = Ask(request_id=name, session_id=None, inputs=inputs, fields=fields)
        return self.lab.encoded("echo", ask)

    def raw(self, name: str, value: bytes | None, **options: object) -> None:
        options.setdefault("key", name.encode())
        self.raws[name] = Raw(topic=self.topic, value=value, **options)

    def home(self, name: str) -> int:
        return home_partition(name, PARTITIONS)

    def away(self, name: str) -> int:
        return (self.home(name) + 1) % PARTITIONS


def undecodable(s: Sender) -> None:
    good = s.ask("never")
    s.raw("decode.magic", b"\x01" + good[1:])
    s.raw("decode.truncated", good[:-3])
    s.raw("decode.truncated.id", good[:3])
    s.raw("decode.trailing", good + b"!")
    s.raw("decode.empty", b"")
    s.raw("decode.empty.null", None)
    s.raw("decode.unknown_schema", frame(424_242, good[5:]))
    s.raw("decode.oversize", good + b"\0" * 3_000_000)
    s.raw("decode.malformed", s.ask(""))
    s.raw("request.id", s.ask("nul\0id"))
    s.raw("request.id.long", s.ask("x" * 513))
    s.raw("request.header", s.ask("h1"), headers=(("x-penstock-origin", b"t 0 -1"),))
    replay = (("x-penstock-replay", b"9" * 5_000),)
    s.raw("request.header.replay", s.ask("h2"), headers=replay)
    at_home = (("x-penstock-origin", b"elsewhere 0 1"),)
    s.raw(
        "route.loop", s.ask("lost"), headers=at_home, key=b"k", partition=s.away("lost")
    )


def refused(s: Sender, schemas: dict[str, ParsedSchema]) -> None:
    s.raw("REJECTED request.pipeline", s.ask("q1", pipeline="other"), key=b"q1")
    s.raw("REJECTED request.version", s.ask("q2", pipeline_version=7), key=b"q2")
    s.raw("EXPIRED request.deadline", s.ask("q3", deadline_ms=PAST_MS), key=b"q3")
    s.raw("ERROR result.too_large", s.ask("q4", "size=1200000"), key=b"q4")
    s.raw("ERROR stage.bug", s.ask("q5", "bug"), key=b"q5")
    for name, (schema, inputs) in {
        "q6": (schemas["missing"], {"tocket": "x"}),
        "q7": (schemas["mistyped"], {"ticket": ["x"]}),
    }.items():
        value = {"request_id": name, "inputs": inputs}
        s.raw(
            f"REJECTED request.inputs {name}",
            frame(schema.id, encode(schema, value)),
            key=name.encode(),
        )


def fine(s: Sender) -> None:
    s.raw("no key", s.ask("f1"), key=None, partition=s.away("f1"))
    s.raw("no key, home", s.ask("f2"), key=None, partition=s.home("f2"))
    s.raw("foreign key", s.ask("f3"), key=b"\xff\xfe", partition=s.home("f3"))
    s.raw("wrong partition", s.ask("f4"), key=b"f4", partition=s.away("f4"))
    strange = (("correlation-id", b"\xff\xfe"), ("tenant", b"\x80"), ("empty", None))
    s.raw("headers", s.ask("f5"), key=b"f5", headers=strange)
    s.raw("large", s.ask("f6", "x" * 900_000), key=b"f6")
    s.raw("repeated", s.ask("f7"), key=b"f7")


def foreign_schemas(lab: Lab, url: str) -> dict[str, ParsedSchema]:
    """Register what careless producers would, under subjects of their own."""
    text = {"missing": ("tocket", "string"), "mistyped": ("ticket", "strings")}
    found = {}
    for subject, (name, kind) in text.items():
        of = {"type": "array", "items": "string"} if kind == "strings" else kind
        inputs = {
            "type": "record",
            "name": "Inputs",
            "fields": [{"name": name, "type": of}],
        }
        schema = {
            "type": "record",
            "name": "Request",
            "namespace": namespace_of(lab.prefix, "echo"),
            "fields": [
                {"name": "request_id", "type": "string"},
                {"name": "inputs", "type": inputs},
            ],
        }
        ref = register(url, f"{subject}-value", schema)
        found[subject] = ParsedSchema.of(schema, ref=ref)
    return found


@pytest.fixture(scope="module")
def case(new_shared_lab: Callable[..., Lab]) -> Case:
    """Everything bad at once, on one worker; good records between."""
    lab = new_shared_lab({"echo": ECHO})
    worker = lab.worker().ready()
    sender = Sender(lab)
    undecodable(sender)
    refused(sender, foreign_schemas(lab, worker.url))
    fine(sender)
    bad = list(sender.raws.values())
    for i in range(40):
        sender.raw(f"n{i}", sender.ask(f"n{i}"))
    good = list(sender.raws.values())[len(bad) :]
    mixed = [raw for pair in zip(good, bad, strict=False) for raw in pair]
    lab.produce([*mixed, *good[len(bad) :]])
    again = sender.raws["repeated"]
    lab.produce([Raw(topic=again.topic, value=again.value, key=again.key)])
    expected = 40 + 7 + 7
    answered(lab.tail(lab.topic("echo", "results")), expected, within_s=30)
    letters = lab.tail(lab.topic("echo", "dlq"))
    letters.until(lambda seen: len(seen) >= 15, within_s=20, what="15 dead letters")
    case = Case(raws=sender.raws)
    case.repeated = worker.metric("penstock_repeated_total")
    case.rerouted = worker.metric("penstock_rerouted_total")
    assert worker.terminate() == 0
    for terminal in Verdict.of(lab, "echo").terminals:
        case.terminals.setdefault(terminal.request_id, []).append(terminal)
    for seen in letters.all():
        at = (
            int(seen.header("__dlq.errors.partition")),
            int(seen.header("__dlq.errors.offset")),
        )
        case.letters.setdefault(at, []).append(seen)
    return case


def letter_of(case: Case, name: str):
    raw = case.raws[name]
    [letter] = case.letters[raw.partition, raw.offset]
    return letter


CODES = (
    "decode.magic",
    "decode.truncated",
    "decode.truncated.id",
    "decode.trailing",
    "decode.empty",
    "decode.empty.null",
    "decode.unknown_schema",
    "decode.malformed",
    "request.id",
    "request.id.long",
    "request.header",
    "request.header.replay",
    "route.loop",
)


@pytest.mark.parametrize("name", CODES)
def test_what_cannot_be_a_request_is_one_dead_letter_with_its_bytes(case, name):
    raw, letter = case.raws[name], letter_of(case, name)
    assert (letter.value, letter.key) == (raw.value, raw.key)
    assert letter.headers[: len(raw.headers)] == raw.headers
    assert letter.header("__dlq.errors.topic") == raw.topic.encode()
    assert letter.header("__dlq.errors.message")
    assert name.startswith(letter.header("x-penstock-code").decode())


def test_a_record_too_large_for_the_dlq_is_a_dead_letter_that_says_where_it_is(case):
    raw, letter = case.raws["decode.oversize"], letter_of(case, "decode.oversize")
    assert letter.header("x-penstock-code") == b"decode.oversize"
    assert letter.value in {None, raw.value}
    if letter.value is None:
        size = len(raw.value) + len(raw.key)
        assert letter.header("x-penstock-truncated") == str(size).encode()


def test_a_request_that_cannot_be_served_gets_a_status_and_a_code(case):
    for name, raw in case.raws.items():
        if name.split(" ")[0] in {"REJECTED", "ERROR", "EXPIRED"}:
            [terminal] = case.terminals[raw.key.decode()]
            assert name.startswith(f"{terminal.status} {terminal.code}")


def test_a_bug_in_a_stage_leaves_a_dead_letter_beside_its_terminal(case):
    raw, letter = case.raws["ERROR stage.bug"], letter_of(case, "ERROR stage.bug")
    assert (letter.value, letter.key) == (raw.value, raw.key)
    assert letter.header("x-penstock-code") == b"stage.bug"


def test_a_record_that_is_not_at_home_is_sent_there_once_and_answered(case):
    for name, request_id in {
        "no key": "f1",
        "no key, home": "f2",
        "foreign key": "f3",
        "wrong partition": "f4",
    }.items():
        raw = case.raws[name]
        [terminal] = case.terminals[request_id]
        assert terminal.status == "OK", name
        assert terminal.seen.partition == home_partition(request_id, PARTITIONS)
        source = terminal.value["source"]
        assert (source["partition"], source["offset"]) == (raw.partition, raw.offset)
    assert case.rerouted == 4


def test_headers_that_are_not_text_travel_byte_for_byte(case):
    [terminal] = case.terminals["f5"]
    assert terminal.status == "OK"
    assert terminal.seen.headers == (("correlation-id", b"\xff\xfe"),)


def test_a_large_request_that_fits_is_answered(case):
    [terminal] = case.terminals["f6"]
    assert terminal.status == "OK"
    assert len(terminal.value["outputs"]["reply"]) == 900_000


def test_a_repeated_request_id_adds_no_terminal(case):
    [terminal] = case.terminals["f7"]
    assert terminal.status == "OK"
    assert case.repeated == 1


def test_good_neighbours_are_answered_and_nothing_else_is_set_aside(case):
    for i in range(40):
        [terminal] = case.terminals[f"n{i}"]
        assert terminal.status == "OK"
    wanted = {"decode.oversize", "ERROR stage.bug", *CODES}
    assert set(case.letters) == {
        (case.raws[name].partition, case.raws[name].offset) for name in wanted
    }


class Garbled(str):
    """A header name that is not UTF-8 once it is bytes."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


async def _send_garbled_name(bootstrap: str, raw: Raw) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    batch = producer.create_batch()
    # The client in C takes text only; this one asks the name for its bytes.
    batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 65_536)  # noqa: SLF001
    batch.append(
        key=raw.key,
        value=raw.value,
        timestamp=None,
        headers=[(Garbled("name"), b"value")],
    )
    await (await producer.send_batch(batch, raw.topic, partition=raw.partition))
    await producer.stop()


def test_a_header_name_that_is_not_utf8_stops_nobody(new_lab):
    lab = new_lab({"echo": ECHO})
    sender = Sender(lab)
    sender.raw("g1", sender.ask("g1"), partition=sender.home("g1"))
    asyncio.run(_send_garbled_name(lab.bootstrap, sender.raws["g1"]))
    after = [
        name for name in map(str, range(50)) if sender.home(name) == sender.home("g1")
    ]
    lab.send(
        "echo",
        [
            Ask(request_id=name, session_id=None, inputs={"ticket": "x"})
            for name in after
        ],
    )
    worker = lab.worker().ready()
    answered(lab.tail(lab.topic("echo", "results")), len(after) + 1, within_s=20)
    assert worker.terminate() == 0
    Verdict.of(lab, "echo").check_once(
        [Ask(request_id=n, session_id=None, inputs={}) for n in ["g1", *after]]
    )
