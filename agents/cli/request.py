"""`penstock request`: sends one request to a pipeline, and waits for its result."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import IO, Final

import click

from agents.cli.invocation import invocation
from agents.cli.output import flat
from agents.cli.parameters import Duration, Pair, object_in
from agents.cli.verbs import Verb
from agents.client.asking import Question, ask, send
from agents.exit_codes import ExitCode
from streams.clock import SystemClock

ANSWERED: Final = ("OK", "PARTIAL")
"""Statuses of a result that is an answer."""


@click.command(cls=Verb)
@click.argument("pipeline")
@click.argument("inputs", nargs=-1, type=Pair())
@click.option("-f", "--file", type=click.File("rb"), help="Inputs as JSON; - is stdin.")
@click.option("--session", help="The session that it is a turn of.")
@click.option("--id", "request_id", help="Its id; a new one if not said.")
@click.option("--deadline", type=Duration(), help="Pointless after this, as in 30s.")
@click.option(
    "--timeout",
    type=Duration(),
    default="60s",
    show_default=True,
    help="How long to wait for the result.",
)
@click.option("--no-wait", is_flag=True, help="Send only; say where it is.")
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    pipeline: str,
    inputs: Sequence[tuple[str, str]],
    file: IO[bytes] | None,
    session: str | None,
    request_id: str | None,
    deadline: float | None,
    timeout: float,
    no_wait: bool,
) -> ExitCode:
    """Send one request to PIPELINE and show its result.

    INPUTS are written name=text; what is no text is written as JSON. Exit code 1 if
    the result is no answer, or does not come.
    """
    call = invocation()
    now_ms = SystemClock().now_ms()
    question = Question(
        pipeline=pipeline,
        request_id=request_id or str(uuid.uuid4()),
        session_id=session,
        deadline_ms=None if deadline is None else now_ms + round(deadline * 1_000),
        texts=dict(inputs),
        values={} if file is None else object_in(file),
    )
    settings = call.connected_settings()
    if no_wait:
        at = asyncio.run(send(settings, question))
        call.show_one(
            {
                "request_id": question.request_id,
                "topic": at.topic,
                "partition": at.partition,
                "offset": at.offset,
            }
        )
        return ExitCode.DONE
    result = asyncio.run(ask(settings, question, wait_s=timeout))
    call.show_one(flat(result) if call.output == "table" else result)
    return ExitCode.DONE if result["status"] in ANSWERED else ExitCode.FAILED
