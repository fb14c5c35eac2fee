"""The same requests through the same pipeline, in process, with nobody killed."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.records import Request, Result, Source, StageResult
from streams.clock import SystemClock
from streams.journal import Journal
from streams.metrics import NullRecorder
from streams.plan import Pipeline
from streams.running.run import RunStart, run
from tests.integration.lab import Ask
from tests.integration.stage_records import ENDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """What a request comes to if nothing happens."""

    result: Result
    ended: Mapping[str, StageResult]
    """The records of stages that ended, by path."""


def undisturbed(pipeline: Pipeline, asks: Sequence[Ask]) -> dict[str, Undisturbed]:
    """Run *asks*, each session in its order; closes the LMs of *pipeline*."""
    return asyncio.run(_all(pipeline, asks))


async def _all(pipeline: Pipeline, asks: Sequence[Ask]) -> dict[str, Undisturbed]:
    sessions = defaultdict(list)
    for ask in asks:
        sessions[ask.home].append(ask)
    try:
        found = await asyncio.gather(
            *(_session(pipeline, each) for each in sessions.values())
        )
    finally:
        await pipeline.aclose()
    return {name: each for one in found for name, each in one.items()}


async def _session(pipeline: Pipeline, asks: Sequence[Ask]) -> dict[str, Undisturbed]:
    found, session = {}, None
    for ask in asks:
        clock, stages = SystemClock(), []
        request = Request(
            request_id=ask.request_id,
            pipeline=pipeline.name,
            inputs=ask.inputs,
            session_id=ask.session_id,
        )
        start = RunStart(
            source=Source(topic="none", partition=0, offset=0),
            timestamp_ms=clock.now_ms(),
            session=session,
            journal=Journal(),
            replay=0,
            clock=clock,
            recorder=NullRecorder(),
            emit=lambda progress, to=stages: to.append(progress.stage),
        )
        end = await run(pipeline, request, start)
        session = end.session
        ended = [s for s in (*stages, end.stage) if s is not None and s.event in ENDS]
        found[ask.request_id] = Undisturbed(
            result=end.result, ended={stage.path: stage for stage in ended}
        )
    return found
