"""`penstock topics plan|apply`: the topics that an app needs, compared and made."""

import asyncio

import click

from agents.cli.compiling import compiled
from agents.cli.invocation import invocation
from agents.cli.verbs import Verb
from agents.failures import TopicError
from agents.kafka_admin import admin_of, require_new_enough
from agents.provisioning import provision
from agents.topic_plan import Plan, plan
from agents.topics import wanted
from streams.config import Settings


@click.group()
def command() -> None:
    """Compare and create the topics that an app needs."""


@command.command("plan", cls=Verb)
def plan_verb() -> None:
    """Show what `apply` would create, and what is wrong; change nothing."""
    call = invocation()
    settings = call.connected_settings()
    found = asyncio.run(_plan(settings, sorted(compiled(call, settings))))
    call.show(_rows(found, missing="missing"))
    if found.problems:
        raise TopicError(found.problems)


@command.command(cls=Verb)
def apply() -> None:
    """Create what is missing. Refuse, and create nothing, if a topic is wrong."""
    call = invocation()
    settings = call.connected_settings()
    followed = asyncio.run(provision(settings, sorted(compiled(call, settings))))
    call.show(_rows(followed, missing="created"))


async def _plan(settings: Settings, pipelines: list[str]) -> Plan:
    await require_new_enough(settings.bootstrap)
    async with admin_of(settings.bootstrap) as admin:
        return await plan(admin, wanted(settings, pipelines))


def _rows(found: Plan, *, missing: str) -> list[dict[str, str | int]]:
    return [
        {
            "topic": state.spec.name,
            "state": state.verdict if state.exists else missing,
            "partitions": state.spec.partitions,
            "replication": state.spec.replication,
            "cleanup": state.spec.shape.cleanup,
        }
        for state in found.states
    ]
