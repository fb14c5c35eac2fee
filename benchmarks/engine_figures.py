"""What is measured of the engine: each figure with its bar, round by round.

Times are CPU times of the process, which others on the machine disturb least; only
stages that wait are measured by the clock.
"""

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final

import dspy

from benchmarks.engine_pipelines import (
    MAP,
    NATIVE,
    NATIVE_INPUTS,
    answered,
    chain,
    compiled,
    side_by_side,
    stages_of,
)
from schemas.records import Usage
from streams.clock import SystemClock
from streams.lms.dspy_engine import CallsEngine, bound_lm, response_of
from streams.programs import dspy_adapter
from streams.signatures.parse import parse_signature
from streams.stage import Answer, RunContext

LONG: Final = 50
"""Stages of the long chain; of the pipeline that is compiled, too."""
SIGNATURE: Final = (
    "question: str[1..2000] 'as asked', context: list[str], tier: Literal['free', "
    "'pro'] = 'free' -> answer: str 'one sentence', confidence: float[0..1] = 0.5, x{}"
)

Round = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    def kept(self, value: float) -> bool:
        """Say whether *value* is on the right side of the bar."""
        high = self.at_most is None or value <= self.at_most
        return high and (self.at_least is None or value >= self.at_least)

    @property
    def bar(self) -> str:
        """The bar as text; empty where there is none."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"


FIGURES: Final = (
    Figure(name="engine overhead of a stage", unit="µs", at_most=60),
    Figure(name="a step in process: predict, LM 0 ms", unit="ms", at_most=5),
    Figure(name="four 200 ms stages in parallel, of one", unit="x", at_most=1.15),
    Figure(name="map of 1,000, an element", unit="µs"),
    Figure(name="map of 10,000, an element", unit="µs"),
    Figure(name="map of 1,000, peak memory", unit="MiB"),
    Figure(name="map of 10,000, peak memory", unit="MiB"),
    Figure(name="DSPy call with LM 0 ms", unit="µs"),
    Figure(name="the same / template", unit="x", at_least=10),
    Figure(name="the same / validate", unit="x", at_least=10),
    Figure(name="the same / metric", unit="x", at_least=10),
    Figure(name="parse a signature, cold", unit="µs", at_most=1_000),
    Figure(name="parse a signature, cached", unit="µs", at_most=20),
    Figure(name=f"compile {LONG} stages without LM", unit="ms"),
    Figure(name=f"compile {LONG} predict stages", unit="ms"),
)


class Engine:
    """Everything that is measured, made once; :meth:`round` measures all of it."""

    def __init__(self) -> None:
        self._one, self._long = compiled(chain(1)), compiled(chain(1 + LONG))
        self._steps = compiled(chain(5, "predict"))
        self._alone, self._four = compiled(side_by_side(1)), compiled(side_by_side(4))
        self._map = compiled(MAP)
        self._native = stages_of(compiled(NATIVE))
        self._texts = 0

    async def round(self) -> Round:
        """Return one round of all figures, by name."""
        gc.collect()
        values = [
            await self._overhead_us(),
            await self._step_ms(),
            await self._parallel(),
            await self._element_us(1_000),
            await self._element_us(10_000),
            await self._peak_mib(1_000),
            await self._peak_mib(10_000),
            *await self._against_dspy(),
            *self._parse_us(),
            _seconds(lambda: compiled(chain(LONG))) * 1e3,
            _seconds(lambda: compiled(chain(LONG, "predict"))) * 1e3,
        ]
        names = (figure.name for figure in FIGURES)
        return dict(zip(names, values, strict=True))

    async def _overhead_us(self) -> float:
        """What a stage more costs, without the stage's own."""
        inputs = {"a0": "text"}
        one = await _each(lambda: answered(self._one, inputs), 200)
        long = await _each(lambda: answered(self._long, inputs), 20)
        stage = stages_of(self._one)["s0"]
        own = await _each(lambda: stage(inputs, RUN), 1_000)
        return ((long - one) / LONG - own) * 1e6

    async def _step_ms(self) -> float:
        """A step of a run, with its part of admission, validation and journal."""
        inputs = {"a0": "Nothing works since Monday."}
        return await _each(lambda: answered(self._steps, inputs), 40) / 5 * 1e3

    async def _parallel(self) -> float:
        inputs = {"a": "text"}
        took_s: dict[str, list[float]] = {"alone": [], "four": []}
        for _ in range(3):
            for name, pipeline in (("alone", self._alone), ("four", self._four)):
                began_s = perf_counter()
                await answered(pipeline, inputs)
                took_s[name].append(perf_counter() - began_s)
        return median(took_s["four"]) / median(took_s["alone"])

    async def _element_us(self, elements: int) -> float:
        inputs = {"parts": [f"part {n}" for n in range(elements)]}
        return await _each(lambda: answered(self._map, inputs), 1) / elements * 1e6

    async def _peak_mib(self, elements: int) -> float:
        """Of all that is allocated while it runs, its result included."""
        inputs = {"parts": [f"part {n}" for n in range(elements)]}
        gc.collect()
        tracemalloc.start()
        try:
            await answered(self._map, inputs)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return peak / 2**20

    async def _against_dspy(self) -> list[float]:
        """A DSPy call, and how many times as much it costs as each native stage."""
        predict = dspy.Predict("name, items: list[str] -> letter")
        asked = {name: NATIVE_INPUTS[name] for name in ("name", "items")}
        with dspy.context(
            lm=bound_lm(_Says(), "zero"),
            adapter=dspy_adapter(),
            callbacks=[],
            disable_history=True,
        ):
            call = await _each(lambda: predict.acall(**asked), 50)
        costs = [
            await _each(lambda stage=stage: stage(NATIVE_INPUTS, RUN), 300)
            for stage in (self._native[n] for n in ("template", "validate", "metric"))
        ]
        return [call * 1e6, *(call / cost for cost in costs)]

    def _parse_us(self) -> Iterator[float]:
        self._texts += 1
        texts = [SIGNATURE.format(f"{self._texts}_{n}") for n in range(100)]
        for _ in ("cold", "cached"):
            yield _seconds(lambda: [parse_signature(t) for t in texts]) / 100 * 1e6


class _NoCalls:
    """Calls for stages that make none."""


RUN: Final = RunContext(request_id="r", clock=SystemClock(), calls=_NoCalls())  # type: ignore[arg-type] # never asked


class _Says(CallsEngine):
    """An LM that takes no time."""

    def __init__(self) -> None:
        pass

    async def complete(self, request: Any) -> Any:  # noqa: ANN401 - DSPy's
        text = "[[ ## letter ## ]]\nDear Ada, bread, bye\n\n[[ ## completed ## ]]\n"
        return response_of(request, Answer(text=text, usage=Usage(calls=1)))


async def _each(call: Callable[[], Awaitable[object]], times: int) -> float:
    """Return the CPU seconds of one *call*, of that many."""
    began_s = process_time()
    for _ in range(times):
        await call()
    return (process_time() - began_s) / times


def _seconds(call: Callable[[], object]) -> float:
    began_s = process_time()
    call()
    return process_time() - began_s


def measured(rounds: int) -> list[Round]:
    """Return *rounds* of all figures, after one that only warms up."""
    engine = Engine()

    async def all_rounds() -> list[Round]:
        await engine.round()
        return [await engine.round() for _ in range(rounds)]

    return asyncio.run(all_rounds())
