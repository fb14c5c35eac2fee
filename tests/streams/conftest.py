"""A workbench for pipelines: a scripted LM, stages that ask it, and runs on a clock."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from schemas.records import Request, Source, Usage
from streams.catalog import STAGE_KINDS
from streams.clock import ManualClock
from streams.errors import ConfigError, StageOutputError
from streams.journal import Journal
from streams.json_form import json_value
from streams.language.stage_spec import StageKind
from streams.pipeline import Toolbox, compile_text
from streams.running.run import RunStart, run
from streams.stage import Answer, LMCall, StageOutcome
from streams.user_code import UserCode

SOURCE = Source(topic="penstock.desk.requests", partition=0, offset=7)


class ScriptedLM:
    """An LM that answers what it is told to, then *otherwise*."""

    def __init__(self, name="small"):
        self.name = name
        self.fingerprint = f"scripted/{name}"
        self.up = True
        self.closed = False
        self.asked = []
        self.ids = []
        self.script = {}
        self.otherwise = {}

    def say(self, stage, *answers):
        """Give *answers* to the next calls of *stage*; errors are raised."""
        self.script.setdefault(stage, []).extend(answers)

    def available(self):
        return self.up

    async def complete(self, stage, call):
        await asyncio.sleep(0)
        self.asked.append((stage, call.messages[0]["content"]))
        self.ids.append(call.request_id)
        told = self.script.get(stage)
        answer = told.pop(0) if told else self.otherwise
        if callable(answer):
            answer = await answer()
        if isinstance(answer, BaseException):
            try:
                raise answer
            finally:
                del answer  # else a ring, which no LM of ours makes
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return Answer(text=text, usage=Usage(calls=1, input_tokens=10, output_tokens=2))

    async def aclose(self):
        self.closed = True


class AskStage:
    """Asks as often as its instructions say; its outputs are the last answer, JSON."""

    def __init__(self, spec, lm):
        self.name = spec.name
        self.version = f"ask@{spec.name}"
        self.seen = []
        self._times = int(spec.instructions or 1)
        self._lm = lm

    async def __call__(self, fields, run):
        self.seen.append((dict(fields), run.history))
        answer = None
        for number in range(self._times):
            asked = [number, json_value(fields)]
            content = json.dumps(asked, sort_keys=True)
            call = LMCall(
                messages=({"role": "user", "content": content},),
                request_id=f"{run.request_id}/{self.name}",
            )
            answer = await run.calls.ask(self._lm, call)
        try:
            outputs = json.loads(answer.text)
        except ValueError as error:
            raise StageOutputError(self.name, "no JSON") from error
        return StageOutcome(outputs=outputs, usage=answer.usage)


class CountingRecorder:
    """A recorder that remembers."""

    def __init__(self):
        self.counts = {}
        self.observed = []

    def count(self, name, amount=1, **labels):
        key = (name, *sorted(labels.items()))
        self.counts[key] = self.counts.get(key, 0) + amount

    def observe(self, name, value, **labels):
        self.observed.append((name, value, labels))

    def gauge(self, name, value, **labels):
        pass

    def total(self, name):
        """Return the sum of a counter over all labels."""
        return sum(n for key, n in self.counts.items() if key[0] == name)


@dataclass
class Bench:
    """Compiles and runs pipelines; everything outside of them is in its fields."""

    lm: ScriptedLM = field(default_factory=ScriptedLM)
    clock: ManualClock = field(default_factory=ManualClock)
    recorder: CountingRecorder = field(default_factory=CountingRecorder)
    emitted: list = field(default_factory=list)
    stages: dict = field(default_factory=dict)
    opened: list = field(default_factory=list)

    @property
    def toolbox(self):
        return Toolbox(
            kinds={
                "ask": StageKind(build=self._ask, asks_lm=True),
                "transform": STAGE_KINDS["transform"],
            },
            open_lm=self._open,
            code=UserCode(["streams_user_code", "examples"]),
        )

    def _open(self, name, options):
        self.opened.append(name)
        if options["model"] != "scripted":
            raise ConfigError(["model: no such model"])
        return self.lm

    def _ask(self, spec, shop):
        made = self.stages[spec.name] = AskStage(spec, shop.lm)
        return made

    def compile(self, text, where="desk.yaml"):
        """Return the pipeline that *text* describes."""
        return compile_text(text, where, self.toolbox)

    def problems(self, text, where="desk.yaml"):
        """Return what is wrong with *text*, without the name of the file."""
        with pytest.raises(ConfigError) as caught:
            self.compile(text, where)
        return [p.removeprefix(f"{where}: ") for p in caught.value.problems]

    async def run(self, pipeline, /, *, start=None, **request):
        """Run a request; *start* overrides what the run begins with."""
        # Timeouts of asyncio run on the bench's clock too: no test waits, and none
        # depends on how busy the machine is.
        asyncio.get_running_loop().time = self.clock.monotonic_s
        return await run(pipeline, self.request(**request), self.start(**(start or {})))

    async def hang(self):
        """Answer as an LM that never does: a minute passes, and nothing happens."""
        self.clock.advance(60)
        # A timeout that finds itself late waits a moment for what came meanwhile.
        for _ in range(2):
            await asyncio.sleep(0)
        self.clock.advance(1)
        await asyncio.Event().wait()

    def request(self, **given):
        """Return a request; the inputs default to one ticket."""
        wanted = {
            "request_id": "r1",
            "pipeline": "desk",
            "inputs": {"ticket": "broken"},
        }
        return Request(**(wanted | given))

    def start(self, **given):
        """Return what a run begins with."""
        wanted = {
            "source": SOURCE,
            "timestamp_ms": self.clock.now_ms(),
            "session": None,
            "journal": Journal(),
            "replay": 0,
            "clock": self.clock,
            "recorder": self.recorder,
            "emit": self.emitted.append,
        }
        return RunStart(**(wanted | given))

    @property
    def entries(self):
        """All journal entries emitted so far."""
        return tuple(entry for progress in self.emitted for entry in progress.entries)


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture(scope="session")
def new_bench():
    """For tests that need several."""
    return Bench
