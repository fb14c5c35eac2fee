"""`penstock tail`: results as they come, a line each."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import click

from agents.cli.invocation import Invocation, invocation
from agents.cli.output import flat
from agents.cli.verbs import Verb
from agents.client.following import Seen, follow
from agents.client.reader import Start


@click.command(cls=Verb)
@click.argument("pipeline")
@click.option("--stages", is_flag=True, help="Stage records as well.")
@click.option(
    "--from",
    "start",
    type=click.Choice(["earliest", "latest"]),
    default="latest",
    show_default=True,
    help="Where to begin.",
)
@click.option("--session", help="Only those of this session.")
@click.option("-n", "--count", type=click.IntRange(1), help="Stop after so many.")
def command(
    *, pipeline: str, stages: bool, start: Start, session: str | None, count: int | None
) -> None:
    """Show the results of PIPELINE as they come, until Ctrl-C."""
    call = invocation()
    settings = call.connected_settings()

    async def tail() -> None:
        left = count
        records = follow(
            settings, pipeline, stages=stages, start=start, session_id=session
        )
        async with aclosing(records):
            async for seen in records:
                _show(call, seen)
                left = None if left is None else left - 1
                if left == 0:
                    return

    asyncio.run(tail())


def _show(call: Invocation, seen: Seen) -> None:
    if call.output == "table":
        click.echo(line_of(seen))
        return
    record = seen.record
    call.stream(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp_ms": record.timestamp_ms,
            "value": seen.value,
            "problem": seen.problem,
        }
    )


def line_of(seen: Seen) -> str:
    """Return a line for people: when, where, whose, how it ended, and with what."""
    record, value = seen.record, seen.value
    when = datetime.fromtimestamp(record.timestamp_ms / 1_000, UTC)
    where = f"{when:%H:%M:%S} {record.partition}:{record.offset}"
    if value is None:
        return f"{where}  unreadable: {seen.problem}"
    whose = "/".join(filter(None, (value["session_id"], value["request_id"])))
    what = value.get("stage") or f"turn {value.get('turn') or '-'}"
    told = value["outputs"] if value["error"] is None else value["error"]
    return f"{where}  {whose}  {what}  {value['status']}  {_texts(told)}"


def _texts(told: dict[str, Any] | None) -> str:
    return "  ".join(
        f"{name.rpartition('.')[2]}={' '.join(str(value).split())}"
        for name, value in flat(told or {}).items()
    )
