"""`penstock pipeline run`: one request through a pipeline, here and now, without Kafka.

What runs is what a worker runs; only nothing is settled, and nothing remembered.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

import click
import msgspec

from agents.cli.compiling import pipeline_of
from agents.cli.invocation import Invocation, invocation
from agents.cli.output import flat
from agents.cli.parameters import Duration, Pair, object_in
from agents.cli.request import ANSWERED
from agents.cli.verbs import Verb
from agents.client.inputs import Inputs
from agents.exit_codes import ExitCode
from schemas.codec import ParsedSchema
from schemas.records import Request, Source, StageResult
from schemas.shapes import namespace_of
from streams.clock import SystemClock
from streams.journal import Journal
from streams.metrics import NullRecorder
from streams.plan import Pipeline
from streams.running.run import RunStart
from streams.running.run import run as run_pipeline
from streams.session import Session, Turn
from streams.settlement import Progress, RunEnd

HERE: Final = Source(topic="none", partition=0, offset=0)
"""The origin that stands in the records: there is no topic."""


@click.command(cls=Verb)
@click.argument("named", metavar="NAME|FILE")
@click.argument("inputs", nargs=-1, type=Pair())
@click.option("-f", "--file", type=click.File("rb"), help="Inputs as JSON; - is stdin.")
@click.option(
    "--history",
    type=click.File("rb"),
    help='Earlier turns of its session as JSON: {"turns": [{field: value}]}.',
)
@click.option("--id", "request_id", default="local", help="Its id. [default: local]")
@click.option("--deadline", type=Duration(), help="Give up after this, as in 30s.")
def run(  # noqa: PLR0913 - one parameter for each option
    *,
    named: str,
    inputs: Sequence[tuple[str, str]],
    file: IO[bytes] | None,
    history: IO[bytes] | None,
    request_id: str,
    deadline: float | None,
) -> ExitCode:
    """Run one request without Kafka; show each stage as it ends, then the result.

    INPUTS are written name=text; what is no text is written as JSON. Exit code 1 if
    the result is no answer.
    """
    call = invocation()
    pipeline = pipeline_of(call, named)
    now_ms = SystemClock().now_ms()
    turns = None if history is None else _turns(object_in(history))
    request = Request(
        request_id=request_id,
        pipeline=pipeline.name,
        inputs=_inputs(pipeline, dict(inputs), {} if file is None else object_in(file)),
        session_id=request_id if pipeline.uses_session else None,
        deadline_ms=None if deadline is None else now_ms + round(deadline * 1_000),
    )
    end = asyncio.run(_run(call, pipeline, request, turns or ()))
    if end.stage is not None:
        _show_stage(call, end.stage)
    result = msgspec.to_builtins(end.result)
    if call.output == "table":
        call.show_one(flat({k: v for k, v in result.items() if k != "source"}))
    else:
        call.stream({"result": result})
    return ExitCode.DONE if end.result.status in ANSWERED else ExitCode.FAILED


async def _run(
    call: Invocation,
    pipeline: Pipeline,
    request: Request,
    turns: Sequence[Mapping[str, Any]],
) -> RunEnd:
    clock = SystemClock()
    start = RunStart(
        source=HERE,
        timestamp_ms=clock.now_ms(),
        session=_session(pipeline, request, turns, clock.now_ms()),
        journal=Journal(),
        replay=0,
        clock=clock,
        recorder=NullRecorder(),
        emit=lambda progress: _show_progress(call, progress),
    )
    try:
        return await run_pipeline(pipeline, request, start)
    finally:
        await pipeline.aclose()


def _inputs(
    pipeline: Pipeline, texts: Mapping[str, str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the inputs as a request has them, from what a person has typed."""
    # By way of the schema, as `penstock request` does: what it takes, this takes.
    schema = pipeline.request_schema(namespace_of("local", pipeline.name))
    return Inputs(ParsedSchema.of(schema)).check(texts, values)


def _session(
    pipeline: Pipeline,
    request: Request,
    turns: Sequence[Mapping[str, Any]],
    now_ms: int,
) -> Session | None:
    if request.session_id is None or not turns:
        return None
    return Session(
        session_id=request.session_id,
        turns=len(turns),
        updated_ms=now_ms,
        history=tuple(
            Turn(pipeline=pipeline.name, request_id=f"{n}", at_ms=now_ms, fields=fields)
            for n, fields in enumerate(turns, start=1)
        ),
    )


def _turns(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    turns = said.get("turns")
    if not (isinstance(turns, list) and all(isinstance(t, dict) for t in turns)):
        reason = '--history: write {"turns": [{"field": "value"}, ...]}'
        raise click.UsageError(reason)
    return turns


def _show_progress(call: Invocation, progress: Progress) -> None:
    if progress.stage is not None:
        _show_stage(call, progress.stage)


def _show_stage(call: Invocation, stage: StageResult) -> None:
    if call.output != "table":
        call.stream({"stage": msgspec.to_builtins(stage)})
        return
    click.echo(
        "  ".join((f"{stage.sequence}", stage.path or stage.stage, _told(stage)))
    )


def _told(stage: StageResult) -> str:
    """Return how a stage ended, or how far it is."""
    match stage.event:
        case "started":
            return "started"
        case "percent":
            return f"{stage.percent} %"
        case "skipped":
            return f"skipped: {'' if stage.error is None else stage.error.message}"
        case "finished":
            return _finished(stage)


def _finished(stage: StageResult) -> str:
    calls = "1 call" if stage.usage.calls == 1 else f"{stage.usage.calls} calls"
    spent = f"{stage.duration_ms} ms  {calls}"
    made = stage.outputs if stage.error is None else {"error": stage.error.message}
    said = flat(msgspec.to_builtins(made or {}))
    shown = "  ".join(f"{k}={' '.join(str(v).split())}" for k, v in said.items())
    return f"{stage.status}  {spent}  {shown}"
