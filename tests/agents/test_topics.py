"""Topics: one table says what there is; what is missing is made, what is wrong refused.

The broker is asked by confluent-kafka, which shares no code with what made the topics.
"""

import asyncio
import itertools
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

from agents.changelog_ids import mark_changelogs
from agents.failures import BrokerTooOldError, BrokerUnreachableError, TopicError
from agents.kafka_admin import admin_of, require_new_enough
from agents.provisioning import check, provision
from agents.tables import CHANGELOG_ID, TABLES
from agents.topic_plan import plan
from agents.topics import TOPICS, changelogs, wanted
from streams.config import Settings

DAY_MS = 86_400_000
PIPELINES = ("support", "triage")
SET = AlterConfigOpType.SET
numbers = itertools.count()


@pytest.fixture
def settings(bootstrap) -> Settings:
    """An app of its own on the session's broker."""
    return Settings(
        bootstrap=bootstrap, prefix=f"topics{next(numbers)}", app="main", partitions=3
    )


@pytest.fixture
def admin(bootstrap) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap})


def test_a_pipeline_has_five_topics_and_the_app_one_changelog_per_table():
    specs = wanted(Settings(prefix="p", app="a", partitions=4), ["support"])
    assert {s.name: (s.partitions, s.config["cleanup.policy"]) for s in specs} == {
        "p.support.requests": (4, "delete"),
        "p.support.stages": (4, "delete"),
        "p.support.results": (4, "delete"),
        "p.support.chunks": (4, "delete"),
        "p.support.dlq": (4, "delete"),
        "p.schemas": (1, "compact"),
        "p-a-sessions-changelog": (4, "compact"),
        "p-a-ledger-changelog": (4, "compact,delete"),
        "p-a-journal-changelog": (4, "compact"),
        "p-a-tasks-changelog": (4, "compact"),
    }


def test_records_are_kept_as_long_as_the_design_says():
    specs = {s.name: s.config for s in wanted(Settings(), ["x"])}
    kept = {
        name.rpartition(".")[2]: int(config["retention.ms"]) // DAY_MS
        for name, config in specs.items()
        if name.startswith("penstock.x.")
    }
    assert kept == {"requests": 7, "stages": 3, "results": 14, "chunks": 1, "dlq": 30}
    changelog = specs["penstock-main-sessions-changelog"]
    assert changelog["delete.retention.ms"] == str(7 * DAY_MS)
    assert "retention.ms" not in changelog


def test_the_ledger_keeps_ids_for_longer_than_its_window():
    (ledger,) = (
        s for s in wanted(Settings(ledger_window_s=600), []) if s.shape.role == "ledger"
    )
    assert int(ledger.config["retention.ms"]) > 600_000


def test_sizes_and_replicas_come_from_the_settings():
    settings = Settings(replication=3, min_insync_replicas=2, max_message_bytes=99)
    for spec in wanted(settings, PIPELINES):
        assert spec.replication == 3
        assert spec.config["min.insync.replicas"] == "2"
        if spec.shape.role != "dlq":
            assert spec.config["max.message.bytes"] == "99"


def test_a_record_that_fits_its_request_topic_fits_the_dlq_with_its_reasons():
    limits = {
        spec.shape.role: int(spec.config["max.message.bytes"])
        for spec in wanted(Settings(), ["support"])
    }
    assert limits["dlq"] - limits["requests"] == 64 * 1024


def test_every_table_has_a_changelog_and_every_changelog_a_table():
    assert {s.role for s in TOPICS if s.scope == "table"} == set(TABLES)


async def test_what_is_missing_is_created_as_the_table_says(settings, admin):
    followed = await provision(settings, PIPELINES)
    assert {state.verdict for state in followed.states} == {"missing"}
    found = admin.list_topics(timeout=20).topics
    for spec in wanted(settings, PIPELINES):
        assert len(found[spec.name].partitions) == spec.partitions
        assert all(p.leader >= 0 for p in found[spec.name].partitions.values())
        config = config_of(admin, spec.name)
        assert {k: config[k] for k in spec.config} == spec.config


async def test_a_second_apply_changes_nothing(settings, bootstrap):
    await provision(settings, PIPELINES)
    before = identities(bootstrap, settings)
    again = await provision(settings, PIPELINES)
    assert {state.verdict for state in again.states} == {"ok"}
    assert identities(bootstrap, settings) == before


async def test_every_changelog_partition_gets_an_identity_of_its_own(
    settings, bootstrap
):
    await provision(settings, [])
    ids = identities(bootstrap, settings)
    assert len(ids) == len(TABLES) * settings.partitions
    assert all(len(value) == 17 and value[0] == 1 for value in ids.values())
    assert len(set(ids.values())) == len(ids)


async def test_two_applies_at_once_give_one_identity_each(settings, bootstrap):
    await provision(settings, [])
    empty = replace(settings, prefix=settings.prefix + "b")
    async with admin_of(bootstrap) as client:
        from_plan = (await plan(client, wanted(empty, []))).missing
    assert len(from_plan) == len(wanted(empty, []))
    ends = await asyncio.gather(
        provision(empty, []), provision(empty, []), return_exceptions=True
    )
    assert any(not isinstance(end, Exception) for end in ends)
    ids = identities(bootstrap, empty)
    assert len(ids) == len(TABLES) * settings.partitions


async def test_a_topic_with_other_partitions_is_refused_and_nothing_is_created(
    settings, admin
):
    name = f"{settings.prefix}.support.requests"
    admin.create_topics([NewTopic(name, 5, 1)])[name].result(20)
    with pytest.raises(TopicError) as raised:
        await provision(settings, PIPELINES)
    assert any(
        problem.startswith(
            f"topic {name} has 5 partitions, wanted 3: set PENSTOCK_PARTITIONS=5"
        )
        for problem in raised.value.problems
    )
    mine = {t for t in admin.list_topics(timeout=20).topics if settings.prefix in t}
    assert mine == {name}


async def test_every_wrong_setting_is_named_with_its_cure(settings, admin):
    await provision(settings, PIPELINES)
    name = f"{settings.prefix}.triage.results"
    change = ConfigResource(
        ConfigResource.Type.TOPIC,
        name,
        incremental_configs=[
            ConfigEntry("retention.ms", "5", incremental_operation=SET),
            ConfigEntry("cleanup.policy", "compact", incremental_operation=SET),
        ],
    )
    admin.incremental_alter_configs([change])[change].result(20)
    with pytest.raises(TopicError) as raised:
        await provision(settings, PIPELINES)
    retention, policy, *rest = sorted(raised.value.problems, reverse=True)
    assert (
        f"topic {name} has retention.ms=5, wanted 1209600000: kafka-conf" in retention
    )
    assert "cleanup.policy=compact, wanted delete" in policy or rest


async def test_fewer_replicas_than_wanted_are_a_problem(settings):
    await provision(settings, [])
    with pytest.raises(TopicError, match="has 1 replicas, wanted 3: reassign"):
        await provision(replace(settings, replication=3), [])


async def test_a_broker_that_refuses_a_topic_is_quoted(settings):
    with pytest.raises(TopicError, match=r"cannot create topic .*replication factor"):
        await provision(replace(settings, replication=3), [])


async def test_records_without_an_identity_are_not_taken_for_a_changelog(
    settings, bootstrap
):
    specs = wanted(settings, [])
    name = f"{settings.group}-journal-changelog"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for spec in changelogs(specs):
        new = NewTopic(spec.name, spec.partitions, 1, config=dict(spec.config))
        admin.create_topics([new])[spec.name].result(20)
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(name, key=b"somebody", value=b"else", partition=1)
    producer.flush(20)
    with pytest.raises(TopicError, match=rf"{name}\[1\] has records but no identity"):
        await mark_changelogs(settings, changelogs(specs))


async def test_a_start_is_refused_while_topics_are_missing(settings):
    with pytest.raises(TopicError, match="is missing: run `penstock topics apply`"):
        await check(settings, PIPELINES)
    await provision(settings, PIPELINES)
    await check(settings, PIPELINES)


async def test_a_start_is_refused_with_timeouts_that_the_broker_will_not_take(settings):
    await provision(settings, [])
    too_long = replace(settings, transaction_timeout_s=1_000, session_timeout_s=2_000)
    with pytest.raises(TopicError) as raised:
        await check(too_long, [])
    assert [
        problem.partition(" is above ")[::2] for problem in raised.value.problems
    ] == [
        (
            "PENSTOCK_TRANSACTION_TIMEOUT_S: 1000 s",
            "the broker's transaction.max.timeout.ms of 900000",
        ),
        (
            "PENSTOCK_SESSION_TIMEOUT_S: 2000 s",
            "the broker's group.max.session.timeout.ms of 1800000",
        ),
    ]


async def test_asking_creates_nothing_even_where_asking_can(start_broker):
    # Its own broker: the session's has the switch off, as all of ours.
    broker = start_broker(properties={"auto.create.topics.enable": "true"})
    async with admin_of(broker.bootstrap) as client:
        await plan(client, wanted(Settings(), PIPELINES))
    asked = AdminClient({"bootstrap.servers": broker.bootstrap})
    names = asked.list_topics(timeout=20).topics
    assert not [name for name in names if name.startswith("penstock")]


async def test_a_broker_older_than_4_is_refused(bootstrap, monkeypatch):
    await require_new_enough(bootstrap)
    monkeypatch.setattr("agents.kafka_admin.END_TXN_VERSION", 99)
    with pytest.raises(BrokerTooOldError, match=r"is older than Kafka 4\.0"):
        await require_new_enough(bootstrap)


@pytest.mark.parametrize("bootstrap", ["127.0.0.1:1", "no port"])
async def test_nobody_at_the_address_is_one_clear_error(bootstrap):
    with pytest.raises(
        BrokerUnreachableError, match=f"no broker answers at {bootstrap}"
    ):
        async with admin_of(bootstrap):
            pass
    with pytest.raises(BrokerUnreachableError):
        await require_new_enough(bootstrap)


def config_of(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    entries = admin.describe_configs([resource])[resource].result(20)
    return {name: entry.value for name, entry in entries.items()}


def identities(bootstrap: str, settings: Settings) -> dict[tuple[str, int, int], bytes]:
    """Return every committed record of the changelogs; each must be an identity."""
    config = {
        "bootstrap.servers": bootstrap,
        "group.id": "nobody",
        "enable.auto.commit": "false",
        "enable.partition.eof": "true",
    }
    consumer = Consumer(config)
    left = ends(config, settings)
    consumer.assign([TopicPartition(name, number, 0) for name, number in left])
    found = {}
    while left:
        record = consumer.poll(20)
        assert record is not None
        at = (record.topic(), record.partition())
        if record.error():
            assert record.error().code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name
            # Its first end may be one before the marker of the record's transaction.
            if record.offset() >= left.get(at, 0):
                left.pop(at, None)
            continue
        assert record.key() == CHANGELOG_ID
        found[*at, record.offset()] = record.value()
    consumer.close()
    return found


def ends(config: dict[str, str], settings: Settings) -> dict[tuple[str, int], int]:
    """Return where the changelogs end, with what is not committed yet."""
    plain = Consumer({**config, "isolation.level": "read_uncommitted"})
    found = {
        (spec.name, p): plain.get_watermark_offsets(TopicPartition(spec.name, p))[1]
        for spec in changelogs(wanted(settings, []))
        for p in range(spec.partitions)
    }
    plain.close()
    return found
