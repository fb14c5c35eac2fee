"""What an operator decides about an app: where it goes on, and who has left it."""

from collections.abc import Iterable

import orjson
import pytest
from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from agents.__main__ import run
from agents.exit_codes import ExitCode
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask, Raw
from tests.integration.texts import ECHO
from tests.integration.verdict import answered


@pytest.fixture
def lab(new_lab):
    """An app that answered nine requests; its worker was a static member, and is gone.

    It stays in the group until it is told to leave.
    """
    lab = new_lab({"echo": ECHO}, session_timeout_s=25)
    worker = lab.worker(instance="a-0").ready()
    lab.send("echo", asks(range(9)))
    answered(lab.tail(lab.topic("echo", "results")), 9, within_s=20)
    assert worker.terminate() == ExitCode.DONE
    return lab


def asks(numbers: Iterable[int]) -> list[Ask]:
    return [
        Ask(request_id=f"r-{n}", session_id=f"s-{n % 4}", inputs={"ticket": "x"})
        for n in numbers
    ]


@pytest.fixture
def penstock(lab, capsys):
    """Run a command; return its exit code, and its rows or its line of error."""

    def call(*arguments: str):
        code = run([*arguments, "-o", "json"], env_of(lab))
        said = capsys.readouterr()
        return code, orjson.loads(said.out) if said.out else said.err

    return call


def env_of(lab) -> dict[str, str]:
    settings = lab.settings.masked().items()
    return {f"PENSTOCK_{name.upper()}": str(value) for name, value in settings}


def lose_positions(lab) -> None:
    """Delete every position record, as a wrong hand at the changelog would."""
    topic = f"{lab.settings.group}-tasks-changelog"
    lab.produce(
        Raw(topic=topic, key=b"position", value=None, partition=p)
        for p in range(PARTITIONS)
    )


def zombie(lab) -> Producer:
    """Return a producer that owns partition 0 and fell asleep."""
    producer = Producer(
        {
            "bootstrap.servers": lab.bootstrap,
            "transactional.id": f"{lab.settings.group}-0",
            "log_level": 0,
        }
    )
    producer.init_transactions(20)
    return producer


@pytest.mark.slow
def test_a_lost_position_is_decided_by_a_person_and_nothing_is_answered_twice(
    lab, penstock
):
    code, line = penstock("offsets", "reset", "--to", "group")
    assert code == ExitCode.USAGE
    assert "has 1 members: stop every worker first" in line

    code, left = penstock("worker", "leave", "a-0")
    assert (code, left["left"]) == (ExitCode.DONE, True)
    assert lab.members() == 0
    code, line = penstock("worker", "leave", "a-0")
    assert code == ExitCode.FAILED
    assert "has no static member a-0" in line

    lose_positions(lab)
    refused = lab.worker("b")
    assert refused.wait(40) == ExitCode.FAILED
    assert "`penstock offsets reset --to group`" in refused.log.read_text()
    eventually(lambda: lab.members() == 0, within_s=30, what="an empty group")

    committed = lab.committed()
    code, dry = penstock("offsets", "reset", "--to", "group", "--dry-run")
    assert code == ExitCode.DONE
    assert {
        (row["topic"], row["partition"]): row["next"]
        for row in dry
        if row["next"] is not None
    } == committed
    asleep = zombie(lab)
    assert penstock("offsets", "reset", "--to", "group") == (ExitCode.DONE, dry)
    assert lab.committed() == committed
    with pytest.raises(KafkaException) as fenced:
        publish(asleep, lab.topic("echo", "results"))
    assert fenced.value.args[0].code() == KafkaError._FENCED  # noqa: SLF001 - its name

    lab.worker("b").ready()
    lab.send("echo", asks([3, 9, 10]))  # one of them is known
    results = lab.tail(lab.topic("echo", "results"))
    answered(results, 11, within_s=20)
    assert len(results.all()) == 11


@pytest.mark.slow
def test_read_again_from_the_beginning_requests_in_the_ledger_get_no_second_result(
    lab, penstock
):
    penstock("worker", "leave", "a-0")
    code, rows = penstock("offsets", "reset", "--to", "earliest")
    assert code == ExitCode.DONE
    assert {row["next"] for row in rows} == {0}
    # A coordinator knows of a commit a moment after its transaction was ended.
    eventually(
        lambda: set(lab.committed().values()) == {0}, within_s=5, what="offsets reset"
    )
    worker = lab.worker("b").ready()
    lab.send("echo", asks([20, 21]))
    answered(lab.tail(lab.topic("echo", "results")), 11, within_s=20)
    eventually(
        lambda: worker.metric("penstock_repeated_total") == 9,
        within_s=20,
        what="nine repeated requests",
    )
    assert len(lab.tail(lab.topic("echo", "results")).all()) == 11


def publish(producer: Producer, topic: str) -> None:
    producer.begin_transaction()
    producer.produce(topic, b"stale", partition=0)
    producer.commit_transaction(20)


def test_offsets_that_expired_are_not_gone_on_with(new_lab, capsys):
    lab = new_lab({"echo": ECHO})
    topic, group = lab.topic("echo", "requests"), lab.settings.group
    lab.produce(Raw(topic=topic, value=b"old", partition=1) for _ in range(3))
    committed = TopicPartition(topic, 1, 1)
    offsets = [ConsumerGroupTopicPartitions(group, [committed])]
    for future in lab.admin.alter_consumer_group_offsets(offsets).values():
        future.result(20)
    for future in lab.admin.delete_records([TopicPartition(topic, 1, 2)]).values():
        future.result(20)
    reset = ["offsets", "reset", "--to"]
    assert run([*reset, "group"], env_of(lab)) == ExitCode.USAGE
    assert capsys.readouterr().err.splitlines() == [
        f"penstock: {topic}[1]: offset 1 is next, the topic has 2 to 3",
        (
            "penstock: records are gone: go on without them by "
            "`--to earliest` or `--to latest`"
        ),
    ]
    assert run([*reset, "latest"], env_of(lab)) == ExitCode.DONE
    eventually(lambda: lab.committed()[topic, 1] == 3, within_s=5, what="offsets reset")
