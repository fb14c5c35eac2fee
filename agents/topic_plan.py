"""Compares the topics that we want with those that a broker has; changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResourceType

from agents.kafka_admin import configs_of
from agents.topics import TopicSpec


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
    there = await described(admin, specs)
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


async def described(
    admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec]
) -> dict[str, list[Mapping[str, Any]]]:
    """Return the partitions of those topics of *specs* that exist."""
    names = {spec.name for spec in specs}
    # All topics and not ours by name: aiokafka's request by name lets a broker with
    # auto.create.topics.enable create what it only asks for.
    topics = await admin.describe_topics()
    return {t["topic"]: t["partitions"] for t in topics if t["topic"] in names}


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
    copies = min((len(p["replicas"]) for p in partitions), default=0)
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
