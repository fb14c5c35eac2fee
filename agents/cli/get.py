"""`penstock get`: what became of a request."""

import asyncio

import click

from agents.cli.invocation import invocation
from agents.cli.output import flat
from agents.cli.verbs import Verb
from agents.client.finding import find


@click.command(cls=Verb)
@click.argument("request_id")
@click.option("--pipeline", required=True, help="The pipeline that it was sent to.")
@click.option("--session", help="Its session, if it has one.")
@click.option("--stages", is_flag=True, help="Show its stage records as well.")
def command(
    *, request_id: str, pipeline: str, session: str | None, stages: bool
) -> None:
    """Show the result of REQUEST_ID; of one that was replayed, the last."""
    call = invocation()
    found = asyncio.run(
        find(
            call.connected_settings(),
            pipeline,
            request_id,
            session_id=session,
            stages=stages,
        )
    )
    if call.output == "table":
        for each in (*found.stages, found.result):
            call.show_one(flat(each))
        return
    shown = {"result": found.result, "stages": found.stages} if stages else found.result
    call.show_one(shown)
