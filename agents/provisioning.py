"""Makes the topics that are missing, and refuses those that are wrong."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from agents.changelog_ids import mark_changelogs, unmarked
from agents.failures import TopicError
from agents.kafka_admin import admin_of, limit_problems, require_new_enough
from agents.topic_plan import Plan, described, plan
from agents.topics import TopicSpec, changelogs, wanted
from streams.config import Settings

LEADERS_WITHIN_S: Final = 20.0
LOOK_EVERY_S: Final = 0.05


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


async def _leaderless(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]
) -> list[str]:
    there = await described(admin, specs)
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
