"""Restore on a real broker: changelogs as they may be."""

import shutil
from collections.abc import Iterator

from confluent_kafka import Producer, TopicPartition

from agents.exit_codes import ExitCode
from agents.store_files import reading
from agents.tables import LEDGER, SESSIONS, TABLES
from streams.session import Session
from tests.integration.lab import PARTITIONS, Ask, Lab
from tests.integration.reading import Tail
from tests.integration.texts import ECHO
from tests.integration.verdict import answered


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


def trimmed(lab: Lab, table: str) -> list[int]:
    """Delete the older half of each changelog partition; return where they begin."""
    name = topic(lab, table)
    lasts = [0] * PARTITIONS
    for seen in lab.tail(name).all():
        lasts[seen.partition] = seen.offset
    at = [TopicPartition(name, p, last) for p, last in enumerate(lasts)]
    was = lab.config(name)["cleanup.policy"].value
    # Kafka deletes nothing from a topic that is compacted only.
    lab.alter(name, cleanup_policy="compact,delete")
    for future in lab.admin.delete_records(at).values():
        future.result(20)
    lab.alter(name, cleanup_policy=was)
    return lasts


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
