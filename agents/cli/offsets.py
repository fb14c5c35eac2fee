"""`penstock offsets reset`: decides where an app goes on when its record is lost."""

import asyncio

import click

from agents.cli.compiling import compiled
from agents.cli.invocation import invocation
from agents.cli.verbs import Verb
from agents.position_reset import Target, plan_reset, reset
from agents.provisioning import check
from agents.serde import Topics


@click.group()
def command() -> None:
    """Where an app goes on reading."""


@command.command("reset", cls=Verb)
@click.option(
    "--to",
    "target",
    type=click.Choice(["group", "earliest", "latest"]),
    required=True,
    help="What the group committed; or the beginning; or the end.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written.")
def reset_verb(*, target: Target, dry_run: bool) -> None:
    """Write new position records for every partition; no worker may be running.

    Requests are read again from there; those that the ledger remembers get no second
    result. What lies before is never read.
    """
    call = invocation()
    settings = call.connected_settings()
    pipelines = compiled(call, settings)
    topics = [Topics.of(settings.prefix, name) for name in sorted(pipelines)]
    asyncio.run(check(settings, sorted(pipelines)))
    moves = asyncio.run(plan_reset(settings, [t.requests for t in topics], target))
    if not dry_run:
        # Only here: the shape is the worker's, which comes with Faust.
        from agents.app import markers_of, shape_of  # noqa: PLC0415

        shape, markers = shape_of(settings, pipelines), markers_of(settings, topics)
        asyncio.run(reset(settings, moves, shape, markers))
    call.show(
        [
            {
                "topic": move.tp.topic,
                "partition": move.tp.partition,
                "begin": move.begin,
                "end": move.end,
                "group": move.committed,
                "next": move.next,
            }
            for move in moves
        ]
    )
