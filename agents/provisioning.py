"""Makes the topics that are missing, and refuses those that are wrong."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError

from agents.changelog_ids import mark_changelogs, unmarked
from agents.failures import TopicError
from agents.kafka_admin import admin_of, configs_of, limit_problems, require_new_enough
from agents.topics import TopicSpec, changelogs, wanted
from streams.config import Settings

LEADERS_WITHIN_S: Final = 20.0
LOOK_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """One topic as it has to be, beside what the broker has."""

    spec: TopicSpec
    exists: bool
    problems: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """``ok``, ``missing`` or ``wrong``."""
        if not self.exists:
            return "missing"
        return "wrong" if self.problems else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What stands between the broker and what we want."""

    states: tuple[TopicState, ...]

    @property
    def missing(self) -> tuple[TopicSpec, ...]:
        return tuple(state.spec for state in self.states if not state.exists)

    @property
    def problems(self) -> tuple[str, ...]:
        """What no `topics apply` can put right."""
        return tuple(problem for state in self.states for problem in state.problems)


async def plan(admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec]) -> Plan:
    """Compare *specs* with what the broker has; change nothing."""
    specs = tuple(specs)
    there = await _described(admin, specs)
    configs = await configs_of(admin, ConfigResourceType.TOPIC, sorted(there))
    return Plan(
        states=tuple(
            TopicState(
                spec=spec,
                exists=spec.name in there,
                problems=_problems(spec, there.get(spec.name), configs),
            )
            for spec in specs
        )
    )


async def create(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    """Create the topics of *specs*; return once every partition has a leader.

    Raises:
        TopicError: the broker refuses one of them, or does not get ready.
    """
    if not specs:
        return
    reply = await admin.create_topics([_new_topic(spec) for spec in specs])
    # Somebody else may have been quicker: the next plan compares what they made.
    fine = {0, TopicAlreadyExistsError.errno}
    refused = [
        f"cannot create topic {name}: {message or f'error {code}'}"
        for name, code, message, *_ in reply.topic_errors
        if code not in fine
    ]
    if refused:
        raise TopicError(refused)
    leaderless = [spec.name for spec in specs]
    try:
        async with asyncio.timeout(LEADERS_WITHIN_S):
            while leaderless:
                await asyncio.sleep(LOOK_EVERY_S)
                leaderless = await _leaderless(admin, specs)
    except TimeoutError as error:
        raise TopicError([f"topic {t} got no leader" for t in leaderless]) from error


async def provision(settings: Settings, pipelines: Iterable[str]) -> Plan:
    """Create what is missing of the app's topics; return the plan it followed.

    Raises:
        TopicError: topics are wrong, all of them named; nothing was created.
        BrokerUnreachableError: no broker answers.
        BrokerTooOldError: it is older than Kafka 4.0.
    """
    specs = wanted(settings, pipelines)
    await require_new_enough(settings.bootstrap)
    async with admin_of(settings.bootstrap) as admin:
        followed = await plan(admin, specs)
        if followed.problems:
            raise TopicError(followed.problems)
        await create(admin, followed.missing)
        # Again: a rival may have made them, and made them otherwise.
        made = await plan(admin, specs)
    if made.problems:
        raise TopicError(made.problems)
    await mark_changelogs(settings, changelogs(specs))
    return followed


async def check(settings: Settings, pipelines: Iterable[str]) -> None:
    """Check at start that the broker is fit for the app; change nothing.

    Raises:
        TopicError: topics are missing or wrong, or settings exceed broker limits.
        BrokerUnreachableError: no broker answers.
        BrokerTooOldError: it is older than Kafka 4.0.
    """
    specs = wanted(settings, pipelines)
    await require_new_enough(settings.bootstrap)
    async with admin_of(settings.bootstrap) as admin:
        found = await plan(admin, specs)
        problems = [*found.problems, *await limit_problems(admin, settings)]
    problems += [
        f"topic {spec.name} is missing: run `penstock topics apply`"
        for spec in found.missing
    ]
    if not problems:
        problems += await unmarked(settings, changelogs(specs))
    if problems:
        raise TopicError(problems)


async def _described(
    admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec]
) -> dict[str, list[Mapping[str, Any]]]:
    """Return the partitions of those topics of *specs* that exist."""
    names = {spec.name for spec in specs}
    # All topics and not ours by name: aiokafka's request by name lets a broker with
    # auto.create.topics.enable create what it only asks for.
    topics = await admin.describe_topics()
    return {t["topic"]: t["partitions"] for t in topics if t["topic"] in names}


async def _leaderless(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]
) -> list[str]:
    there = await _described(admin, specs)
    return [
        spec.name
        for spec in specs
        if len(there.get(spec.name, ())) < spec.partitions
        or any(p["error_code"] or p["leader"] < 0 for p in there[spec.name])
    ]


def _new_topic(spec: TopicSpec) -> NewTopic:
    return NewTopic(
        name=spec.name,
        num_partitions=spec.partitions,
        replication_factor=spec.replication,
        topic_configs=dict(spec.config),
    )


def _problems(
    spec: TopicSpec,
    partitions: Sequence[Mapping[str, Any]] | None,
    configs: Mapping[str, Mapping[str, str]],
) -> tuple[str, ...]:
    if partitions is None:
        return ()
    return (
        *_partition_problems(spec, partitions),
        *_config_problems(spec, configs.get(spec.name, {})),
    )


def _partition_problems(
    spec: TopicSpec, partitions: Sequence[Mapping[str, Any]]
) -> list[str]:
    problems = []
    if len(partitions) != spec.partitions:
        cure = (
            "delete it"
            if spec.shape.alone
            else f"set PENSTOCK_PARTITIONS={len(partitions)}, which all topics of the "
            "app must share, or take another PENSTOCK_PREFIX, or delete the topic"
        )
        problems.append(
            f"topic {spec.name} has {len(partitions)} partitions, "
            f"wanted {spec.partitions}: {cure}"
        )
    copies = min(len(partition["replicas"]) for partition in partitions)
    if copies < spec.replication:
        problems.append(
            f"topic {spec.name} has {copies} replicas, wanted {spec.replication}: "
            "reassign its partitions (kafka-reassign-partitions), or set "
            f"PENSTOCK_REPLICATION={copies}"
        )
    return problems


def _config_problems(spec: TopicSpec, config: Mapping[str, str]) -> list[str]:
    return [
        f"topic {spec.name} has {name}={config.get(name)}, wanted {value}: "
        f"kafka-configs --alter --entity-type topics --entity-name {spec.name} "
        f"--add-config {name}=[{value}]"
        for name, value in sorted(spec.config.items())
        if _words(config.get(name)) != _words(value)
    ]


def _words(value: str | None) -> set[str]:
    """Return the parts of a list, whose order means nothing."""
    return {part.strip() for part in (value or "").split(",")}
