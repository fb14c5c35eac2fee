"""The pipelines that the engine is measured with, and the stages they are made of."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from schemas.records import Request, Source
from streams.catalog import toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.journal import Journal
from streams.language.stage_spec import StageKind, StageSpec, Workshop
from streams.metrics import NullRecorder
from streams.pipeline import compile_text
from streams.plan import Pipeline
from streams.running.run import RunStart, run
from streams.settlement import RunEnd
from streams.stage import Fields, RunContext, Stage, StageOutcome

LATENCY_S: Final = 0.2
"""What the stages take whose parallel runs are measured."""
SOURCE: Final = Source(topic="none", partition=0, offset=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A stage that leaves the same text, at once or after a while."""

    name: str
    outputs: Fields
    wait_s: float
    version: str = "constant@1"

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        if self.wait_s:
            await asyncio.sleep(self.wait_s)
        return StageOutcome(outputs=self.outputs)


def compiled(text: str) -> Pipeline:
    """Return the pipeline of *text*, with kinds ``noop`` and ``slow`` of our own."""
    made = toolbox(Settings(), {}, NullRecorder(), SystemClock())
    kinds = {"noop": _constant(0), "slow": _constant(LATENCY_S)}
    return compile_text(
        text, "bench.yaml", replace(made, kinds={**made.kinds, **kinds})
    )


async def answered(pipeline: Pipeline, inputs: Mapping[str, Any]) -> RunEnd:
    """Run one request as a worker does, its records and journal entries dropped.

    Raises:
        RuntimeError: it did not end well, so its time means nothing.
    """
    request = Request(request_id="r", pipeline=pipeline.name, inputs=inputs)
    clock = SystemClock()
    start = RunStart(
        source=SOURCE,
        timestamp_ms=clock.now_ms(),
        session=None,
        journal=Journal(),
        replay=0,
        clock=clock,
        recorder=NullRecorder(),
        emit=lambda _progress: None,
    )
    end = await run(pipeline, request, start)
    if end.result.status != "OK":
        reason = f"{pipeline.name}: {end.result.error}"
        raise RuntimeError(reason)
    return end


def chain(stages: int, kind: str = "noop") -> str:
    """Return a pipeline of *stages* that each read what the one before left."""
    entries = [f'  s{n}: {{{kind}: "a{n} -> a{n + 1}"}}' for n in range(stages)]
    names = ", ".join(f"s{n}" for n in range(stages))
    return _file(f"chain_{stages}", "a0: str", f"a{stages}: str", entries, names)


def side_by_side(branches: int) -> str:
    """Return a pipeline of slow stages, one for each branch."""
    entries = [f'  s{n}: {{slow: "a -> b{n}"}}' for n in range(branches)]
    made = ", ".join(f"b{n}: str" for n in range(branches))
    ways = ", ".join(f"w{n}: [s{n}]" for n in range(branches))
    flow = f"{{parallel: {{{ways}}}}}" if branches > 1 else "s0"
    return _file(f"parallel_{branches}", "a: str", made, entries, flow)


MAP: Final = """\
pipeline: each
version: 1
input: "parts: list[str]"
output: "notes: list[str]"
stages:
  note: {noop: "part -> note"}
flow: [{map: [note], over: parts, each: part, collect: {note: notes}, width: 16}]
"""

NATIVE: Final = """\
pipeline: native
version: 1
input: "name: str, items: list[str], answer: str, expected: str"
output: "letter: str, problems: list[str], score: float"
stages:
  template:
    template: "name: str, items: list[str] -> letter: str"
    text: "Dear {{ name }}, {% for item in items %}{{ item }}, {% endfor %}bye"
  validate:
    validate: "name: str, items: list[str] -> problems: list[str]"
    rules: {named: "size(name) > 0", some: "size(items) > 0 && size(items) < 100"}
  metric: {metric: "answer: str, expected: str -> score: float[0..1]", by: f1}
flow: [template, validate, metric]
"""

NATIVE_INPUTS: Final[Mapping[str, Any]] = {
    "name": "Ada",
    "items": ["bread", "butter", "jam"],
    "answer": "The parcel was sent on Monday from the store in town",
    "expected": "It was sent from the store on Monday",
}


def _file(name: str, takes: str, makes: str, entries: list[str], flow: str) -> str:
    head = [
        f"pipeline: {name}",
        "version: 1",
        f'input: "{takes}"',
        f'output: "{makes}"',
    ]
    lms = ["lms: {small: {model: local/demo}}"] if "predict" in entries[0] else []
    return "\n".join([*head, *lms, "stages:", *entries, f"flow: [{flow}]", ""])


def _constant(wait_s: float) -> StageKind:
    def build(spec: StageSpec, _shop: Workshop) -> Stage:
        outputs = {field.name: "text" for field in spec.outputs}
        return Constant(name=spec.name, outputs=outputs, wait_s=wait_s)

    return StageKind(build=build)


def stages_of(pipeline: Pipeline) -> Mapping[str, Stage]:
    """Return the stages of *pipeline* by name."""
    return {planned.name: planned.stage for planned in pipeline.stages}
