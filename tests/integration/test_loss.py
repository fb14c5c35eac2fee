"""Retention that passes a backlog: the worker stops and says what is missing."""

import signal
import time

from confluent_kafka import TopicPartition

from agents.exit_codes import ExitCode
from tests.integration.lab import Ask
from tests.integration.lossy_entry import LOSSY
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered

SESSION = "one"
"""All requests are one session's, so they are in one partition."""

ANSWERED_S = 1.0
"""Enough for a broker to answer a fetch that waits for records, once there is one."""


def asks_of(name: str, count: int) -> list[Ask]:
    return [
        Ask(request_id=f"{name}{i}", session_id=SESSION, inputs={"ticket": "hello"})
        for i in range(count)
    ]


def drop_but(lab, kept: int) -> tuple[int, int, int]:
    """Delete all requests but the last *kept*; return partition, begin and end."""
    topic = lab.topic("echo", "requests")
    tail = lab.tail(topic)
    last = max(tail.all(), key=lambda seen: seen.offset)
    begin = last.offset + 1 - kept
    at = TopicPartition(topic, last.partition, begin)
    [future] = lab.admin.delete_records([at]).values()
    assert future.result(20).low_watermark == begin
    return last.partition, begin, last.offset + 1


def test_records_that_vanish_before_a_running_worker_read_them_end_it(new_lab):
    lab = new_lab({"echo": ECHO})
    results = lab.tail(lab.topic("echo", "results"))
    worker = lab.worker().ready()
    first = asks_of("first", 5)
    lab.send("echo", first)
    answered(results, 5, within_s=20)
    worker.send(signal.SIGSTOP)
    # A fetch on its way may be answered by what comes first, and by no more.
    caught = asks_of("caught", 1)
    lab.send("echo", caught)
    # The broker answers it meanwhile; on a busy machine with what came behind, too.
    time.sleep(ANSWERED_S)
    lab.send("echo", asks_of("lost", 20))
    partition, begin, end = drop_but(lab, 3)
    worker.send(signal.SIGCONT)
    assert worker.wait(within_s=30) == ExitCode.FAILED
    line = worker.last_words()
    where = f"{lab.topic('echo', 'requests')}[{partition}]: offset "
    assert line.startswith(f"penstock worker: {where}")
    assert f" is next, the topic has {begin} to {end}." in line
    assert "PENSTOCK_ACCEPT_LOSS" in line
    # Nothing of what comes behind the gap was answered as if there were none.
    names = set(Verdict.of(lab, "echo").codes())
    assert names <= {ask.request_id for ask in first + caught}
    # Not before somebody accepts the loss.
    assert lab.worker().wait(within_s=40) == ExitCode.FAILED
    again = lab.worker(accept_loss=True).ready()
    answered(results, len(names) + 3, within_s=30)
    assert again.terminate() == 0
    got = [t.request_id for t in Verdict.of(lab, "echo").terminals]
    assert got[-3:] == ["lost17", "lost18", "lost19"]
    assert len(set(got)) == len(got)


def test_records_that_get_lost_inside_a_worker_are_read_again(new_lab):
    lab = new_lab({"echo": ECHO})
    worker = lab.worker(entry=LOSSY).ready()
    asks = [
        Ask(request_id=f"r{i}", session_id=f"s{i % 8}", inputs={"ticket": "hello"})
        for i in range(400)
    ]
    results = lab.tail(lab.topic("echo", "results"))
    for begin in range(0, len(asks), 40):
        lab.send("echo", asks[begin : begin + 40])
        answered(results, begin, within_s=20)
    answered(results, len(asks), within_s=20)
    assert worker.metric("penstock_source_gaps_total") > 0
    assert worker.events("source.gap")
    verdict = Verdict.of(lab, "echo")
    verdict.check(asks)
