"""Restore on a real broker: changelogs as they may be."""

import shutil
import signal
from collections.abc import Iterator, Mapping

import psutil
import pytest
from confluent_kafka import Producer, TopicPartition

from agents.exit_codes import ExitCode
from agents.store_files import reading
from agents.tables import LEDGER, SESSIONS, TABLES
from streams.session import Session
from tests.integration.conftest import labs
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask, Lab
from tests.integration.processes import WorkerProcess
from tests.integration.reading import Tail
from tests.integration.texts import ECHO
from tests.integration.verdict import answered

FILLERS = 2_500


def ask(name: str, session: str) -> Ask:
    return Ask(request_id=name, session_id=session, inputs={"ticket": "x"})


def turn(lab: Lab, results: Tail, name: str) -> None:
    """Have one more request answered in a session of each partition."""
    before = len(results.all())
    lab.send("echo", [ask(f"{name}{i}", f"s{i}") for i in range(8)])
    answered(results, before + 8, within_s=20)


def turns(stored: bytes) -> int:
    return Session.unpack("", stored).turns


def stored(lab: Lab, table: str) -> Iterator[bytes]:
    """Return the keys in the worker's stores of a table."""
    for partition in range(PARTITIONS):
        with reading(lab.state() / table / str(partition)) as files:
            yield from (key for key, _ in files.entries)


def wiped(lab: Lab) -> None:
    shutil.rmtree(lab.state())


def topic(lab: Lab, table: str) -> str:
    return f"{lab.settings.group}-{table}-changelog"


def aborted(lab: Lab, table: str) -> None:
    """Leave an aborted transaction at the end of each changelog partition."""
    producer = Producer(
        {
            "bootstrap.servers": lab.bootstrap,
            "transactional.id": f"{lab.prefix}-vandal",
            "log_level": 0,
        }
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    for partition in range(PARTITIONS):
        for i in range(300):
            producer.produce(
                topic(lab, table), b"junk", key=b"junk%d" % i, partition=partition
            )
    producer.flush(20)
    producer.abort_transaction(20)


def filled(lab: Lab, table: str, partition: int) -> None:
    """Put more into a changelog partition than is fetched at once."""
    producer = Producer({"bootstrap.servers": lab.bootstrap})
    for i in range(FILLERS):
        producer.produce(
            topic(lab, table), b"v" * 2_000, key=b"filler%d" % i, partition=partition
        )
    assert not producer.flush(20)


def trimmed(lab: Lab, table: str) -> list[int]:
    """Delete the older part of each changelog partition; return where they begin.

    One record is left of each.
    """
    lasts = [0] * PARTITIONS
    for seen in lab.tail(topic(lab, table)).all():
        lasts[seen.partition] = seen.offset
    cut(lab, table, dict(enumerate(lasts)))
    return lasts


def cut(lab: Lab, table: str, begins: Mapping[int, int]) -> None:
    """Have changelog partitions begin at given offsets; -1 is their end."""
    name = topic(lab, table)
    at = [TopicPartition(name, p, begin) for p, begin in begins.items()]
    was = lab.config(name)["cleanup.policy"].value
    # Kafka deletes nothing from a topic that is compacted only.
    lab.alter(name, cleanup_policy="compact,delete")
    for future in lab.admin.delete_records(at).values():
        future.result(20)
    lab.alter(name, cleanup_policy=was)


def stopped(worker: WorkerProcess) -> None:
    """Wait until a failpoint has stopped the worker."""
    process = psutil.Process(worker.pid)
    eventually(
        lambda: process.status() == psutil.STATUS_STOPPED,
        within_s=40,
        what="stopped at its failpoint",
    )


def test_an_aborted_transaction_at_the_end_of_a_changelog_is_nothing(new_lab):
    lab = new_lab({"echo": ECHO})
    results = lab.tail(lab.topic("echo", "results"))
    worker = lab.worker().ready()
    turn(lab, results, "a")
    assert worker.terminate() == 0
    for table in (SESSIONS, LEDGER):
        aborted(lab, table)
    before = lab.changelog(SESSIONS)
    wiped(lab)
    worker = lab.worker().ready()
    turn(lab, results, "b")
    assert worker.terminate() == 0
    for table in (SESSIONS, LEDGER):
        assert not any(key.startswith(b"junk") for key in stored(lab, table))
    after = lab.changelog(SESSIONS)
    # Who was restored goes on with the next turn.
    for key, value in before.items():
        assert turns(after[key]) == turns(value) + 1


def test_changelogs_with_an_identity_and_nothing_else_are_empty_tables(new_lab):
    lab = new_lab({"echo": ECHO})
    worker = lab.worker().ready()
    [restored] = worker.events("tasks.restored")
    assert restored["records"] == PARTITIONS * len(TABLES)
    assert worker.metric("penstock_restored_total") == restored["records"]
    assert worker.metric("penstock_restore_left") == 0
    assert worker.terminate() == 0


def test_a_changelog_that_lost_its_beginning_is_refused_by_name_and_a_ledgers_is_not(
    new_lab,
):
    lab = new_lab({"echo": ECHO})
    results = lab.tail(lab.topic("echo", "results"))
    worker = lab.worker().ready()
    turn(lab, results, "a")
    assert worker.terminate() == 0
    trimmed(lab, LEDGER)
    wiped(lab)
    worker = lab.worker().ready()
    turn(lab, results, "b")
    assert worker.terminate() == 0
    begins = trimmed(lab, SESSIONS)
    wiped(lab)
    worker = lab.worker()
    assert worker.wait(within_s=40) == ExitCode.FAILED
    said = [
        f"{topic(lab, SESSIONS)}[{p}] begins at offset {begin}: "
        for p, begin in enumerate(begins)
    ]
    assert any(line in worker.last_words() for line in said)
    assert "PENSTOCK_ACCEPT_LOSS" in worker.last_words()


def refused(worker: WorkerProcess, lab: Lab) -> None:
    """Check that the worker ended, and with which line."""
    assert worker.wait(within_s=60) == ExitCode.FAILED
    line = worker.last_words()
    assert line.startswith(f"penstock worker: {topic(lab, SESSIONS)}[0] begins at ")
    assert "PENSTOCK_ACCEPT_LOSS" in line


def test_a_changelog_that_loses_records_while_it_is_read_is_refused(new_lab):
    lab = new_lab({"echo": ECHO})
    filled(lab, SESSIONS, 0)
    worker = lab.worker(failpoints="restore.apply=stop@1")
    stopped(worker)
    cut(lab, SESSIONS, {0: -1})
    worker.send(signal.SIGCONT)
    refused(worker, lab)
    # What is left may be had, and only if somebody says so.
    refused(lab.worker(), lab)
    worker = lab.worker(accept_loss=True).ready()
    assert worker.terminate() == 0
    assert not any(key.startswith(b"filler") for key in stored(lab, SESSIONS))


@pytest.mark.slow
def test_a_changelog_that_loses_records_while_its_task_is_served_is_refused(new_lab):
    lab = new_lab({"echo": ECHO})
    results = lab.tail(lab.topic("echo", "results"))
    # Nobody knows whether that transaction is in, so its task catches up.
    doubt = "commit.after_end=stop@1;commit.after_end=drop-reply@1"
    worker = lab.worker(failpoints=doubt).ready()
    lab.send("echo", [ask(f"a{i}", f"s{i}") for i in range(8)])
    stopped(worker)
    cut(lab, SESSIONS, dict.fromkeys(range(PARTITIONS), -1))
    worker.send(signal.SIGCONT)
    assert worker.wait(within_s=60) == ExitCode.FAILED
    line = worker.last_words()
    assert line.startswith(f"penstock worker: {topic(lab, SESSIONS)}[")
    assert "begins at offset" in line
    worker = lab.worker(accept_loss=True).ready()
    answered(results, 8, within_s=20)
    assert worker.terminate() == 0


def test_a_changelog_that_is_deleted_while_it_is_read_is_named(new_lab):
    lab = new_lab({"echo": ECHO})
    filled(lab, SESSIONS, 0)
    worker = lab.worker(failpoints="restore.apply=stop@1")
    stopped(worker)
    lab.delete(topic(lab, SESSIONS))
    worker.send(signal.SIGCONT)
    assert worker.wait(within_s=60) == ExitCode.FAILED
    line = worker.last_words()
    assert line.startswith(f"penstock worker: {topic(lab, SESSIONS)}: deleted, ")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_broker_that_goes_away_in_the_middle_is_waited_for_and_nothing_is_lost(
    start_broker, tmp_path
):
    broker = start_broker()
    with labs(broker.bootstrap, tmp_path) as new_lab:
        lab = new_lab({"echo": ECHO})
        filled(lab, SESSIONS, 0)
        worker = lab.worker(failpoints="restore.apply=stop@1")
        stopped(worker)
        broker.kill()
        worker.send(signal.SIGCONT)
        eventually(
            lambda: worker.events("restore.waiting"), within_s=40, what="it says so"
        )
        assert worker.exit_code is None
        broker.resume()
        worker.ready(within_s=90)
        assert worker.terminate() == 0
        fillers = [k for k in stored(lab, SESSIONS) if k.startswith(b"filler")]
        assert len(fillers) == FILLERS
