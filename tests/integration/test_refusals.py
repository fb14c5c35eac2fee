"""A record that Kafka refuses: an error for its request, answers for the others."""

import pytest

from agents.routing import home_partition
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask, Raw
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered

pytestmark = pytest.mark.usefixtures("worker")

SMALL = 6_000


@pytest.fixture(scope="module")
def lab(new_shared_lab):
    return new_shared_lab({"echo": ECHO})


@pytest.fixture(scope="module")
def worker(lab):
    return lab.worker().ready()


@pytest.fixture
def refuse(lab):
    """Let a topic take small records only, until the end of the test."""
    lowered = {}

    def lower(topic: str, limit: int) -> None:
        lowered[topic] = lab.config(topic)["max.message.bytes"].value
        lab.alter(topic, max_message_bytes=limit)

    yield lower
    for topic, limit in lowered.items():
        lab.alter(topic, max_message_bytes=limit)


def one(name: str, ticket: str, session: str | None = None) -> Ask:
    return Ask(request_id=name, session_id=session, inputs={"ticket": ticket})


def talk(name: str, ticket: str, culprit: int = 7) -> list[Ask]:
    """Return a culprit among its neighbours, in its own session and in others.

    There are three sessions; number 7 is the last one of its session.
    """
    asks = [one(f"{name}-{i}", "hello", f"{name}-s{i % 3}") for i in range(9)]
    asks[culprit] = one(f"{name}-culprit", ticket, asks[culprit].session_id)
    return asks


def codes_of(lab, asks, remembered=()):
    """Send *asks*; return status and code of each once all are answered."""
    names = {ask.request_id for ask in asks}
    lab.send("echo", asks)
    wait_for(lab, names)
    # The tables are what all that was ever asked adds up to.
    verdict = Verdict.of(lab, "echo")
    verdict.check_sessions(remembered=remembered)
    return {k: v for k, v in verdict.codes().items() if k in names}


def wait_for(lab, names):
    """Wait until all requests called *names* are answered."""

    def all_there(seen):
        read = (lab.decode("echo", "results", each)["request_id"] for each in seen)
        return names <= set(read)

    lab.tail(lab.topic("echo", "results")).until(all_there, within_s=30, what="answers")


def neighbours_ok(codes):
    """Check that all were answered but the culprit; return its status and code."""
    [culprit] = [name for name in codes if "culprit" in name] or [""]
    assert {v for k, v in codes.items() if k != culprit} == {"OK"}
    return codes.get(culprit)


def test_a_refused_result_is_an_error_result(lab, refuse):
    refuse(lab.topic("echo", "results"), SMALL)
    asks = talk("results", "size=20000")
    assert neighbours_ok(codes_of(lab, asks)) == "ERROR result.refused"


def test_a_refused_session_is_an_error_result_and_leaves_no_trace(lab, refuse):
    refuse(f"{lab.settings.group}-sessions-changelog", SMALL)
    asks = talk("sessions", "z" * 20_000)
    assert neighbours_ok(codes_of(lab, asks)) == "ERROR result.refused"


def test_a_refused_stage_record_does_not_cost_the_answer(lab, refuse):
    # Of the stage in the middle; the last one travels with the terminal.
    refuse(lab.topic("echo", "stages"), SMALL)
    asks = talk("stages", "note=20000")
    assert neighbours_ok(codes_of(lab, asks)) == "OK"


def test_a_refused_dead_letter_says_where_the_record_is(lab, refuse):
    topic = lab.topic("echo", "dlq")
    refuse(topic, SMALL)
    raw = Raw(
        topic=lab.topic("echo", "requests"), value=b"\1" + b"x" * 20_000, partition=0
    )
    lab.produce([raw])
    assert neighbours_ok(codes_of(lab, talk("dlq", "hello"))) == "OK"
    [letter] = lab.tail(topic).all()
    assert letter.value is None
    assert letter.header("x-penstock-code") == b"decode.magic"
    assert letter.header("x-penstock-truncated") == b"20001"
    assert letter.header("__dlq.errors.offset") == str(raw.offset).encode()


def test_a_record_that_its_home_refuses_is_a_dead_letter(lab, refuse):
    asks = talk("home", "hello")
    stray = one("stray", "q" * 20_000)
    at = (home_partition("stray", PARTITIONS) + 1) % PARTITIONS
    raw = Raw(
        topic=lab.topic("echo", "requests"),
        value=lab.encoded("echo", stray),
        partition=at,
    )
    refuse(raw.topic, SMALL)
    lab.produce([raw])  # compressed, it is small enough
    assert neighbours_ok(codes_of(lab, asks)) == "OK"
    letters = lab.tail(lab.topic("echo", "dlq"))
    found = letters.until(
        lambda seen: [
            s for s in seen if s.header("x-penstock-code") == b"route.refused"
        ],
        within_s=20,
        what="a dead letter",
    )
    assert found[-1].value == raw.value


def test_a_refused_ledger_entry_holds_its_task_until_it_is_taken(lab, worker, refuse):
    ledger = f"{lab.settings.group}-ledger-changelog"
    refuse(ledger, 700)
    asks = talk("ledger", "hello")
    asks[4] = one("ledger-culprit" + "i" * 400, "hello", "session" + "i" * 400)
    home = home_partition(asks[4].home, PARTITIONS)
    elsewhere = [a for a in asks if home_partition(a.home, PARTITIONS) != home]
    lab.send("echo", asks)
    eventually(lambda: worker.metric("penstock_held"), within_s=20, what="held")
    wait_for(lab, {ask.request_id for ask in elsewhere})
    assert worker.get("/livez")[0] == 200
    lab.alter(ledger, max_message_bytes=lab.settings.max_message_bytes)
    wait_for(lab, {ask.request_id for ask in asks})
    eventually(lambda: not worker.metric("penstock_held"), within_s=10, what="free")


def test_requests_behind_a_refused_one_go_on_counting(lab, refuse):
    refuse(lab.topic("echo", "results"), SMALL)
    asks = talk("behind", "size=20000", culprit=4)
    # They ran on its settlement, which was not committed yet, and may remember it.
    codes = codes_of(lab, asks, remembered=["behind-culprit"])
    assert neighbours_ok(codes) == "ERROR result.refused"
    turns = {
        terminal.request_id: terminal.value["turn"]
        for terminal in Verdict.of(lab, "echo").terminals
        if terminal.request_id in codes
    }
    assert turns == {ask.request_id: i // 3 + 1 for i, ask in enumerate(asks)}


def test_a_topic_that_is_gone_is_waited_for(lab, worker):
    topic = lab.topic("echo", "results")
    answered(lab.tail(topic), 1, within_s=5)
    before = Verdict.of(lab, "echo").codes()
    lab.delete(topic)
    asks = talk("gone", "hello")
    lab.send("echo", asks)
    eventually(lambda: worker.metric("penstock_held"), within_s=20, what="held")
    assert worker.get("/livez")[0] == 200
    lab.provision()
    answered(lab.tail(topic), len(asks), within_s=30)
    after = Verdict.of(lab, "echo").codes()
    assert after == {ask.request_id: "OK" for ask in asks}
    assert not set(before) & set(after)
    assert worker.terminate() == 0
