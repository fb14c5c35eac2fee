"""Requests in, results out: what holds on a quiet day."""

from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered, terminals_of


def tickets(count: int, sessions: int, start: int = 0) -> list[Ask]:
    return [
        Ask(
            request_id=f"r{i}",
            session_id=f"s{i % sessions}",
            inputs={"ticket": f"ticket {i}"},
            headers=(("correlation-id", b"c%d" % i), ("unknown", b"\xff")),
        )
        for i in range(start, start + count)
    ]


def test_each_request_gets_one_answer_in_the_order_of_its_session(new_lab):
    lab = new_lab({"echo": ECHO})
    asks = tickets(200, sessions=20)
    worker = lab.worker().ready()
    lab.send("echo", asks)
    results = lab.tail(lab.topic("echo", "results"))
    for terminal in terminals_of(lab, "echo", answered(results, 200, within_s=30)):
        number = terminal.request_id[1:]
        assert terminal.status == "OK"
        assert terminal.value["outputs"] == {"reply": f"TICKET {number}"}
        assert terminal.seen.key == terminal.value["session_id"].encode()
        # Known headers are routed on, byte for byte; strangers stay behind.
        assert terminal.seen.headers == (("correlation-id", b"c" + number.encode()),)
        source = terminal.value["source"]
        assert source["topic"] == lab.topic("echo", "requests")
        assert source["partition"] == terminal.seen.partition
    # Soon after all is answered, the group's offsets are the ends of its topics.
    requests = lab.tail(lab.topic("echo", "requests")).all()
    ends = dict.fromkeys(range(PARTITIONS), 0)
    for seen in requests:
        ends[seen.partition] = seen.offset + 1
    eventually(
        lambda: {p: offset for (_, p), offset in lab.committed().items()} == ends,
        within_s=10,
        what="group offsets at the ends",
    )
    assert worker.terminate() == 0
    Verdict.of(lab, "echo").check(asks)
    assert lab.tail(lab.topic("echo", "dlq")).all() == []
