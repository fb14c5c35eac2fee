"""Ask a DSPy module for one request: its LM calls are the run's, its errors ours."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import dspy
from dspy.utils.exceptions import AdapterParseError

from schemas.records import Usage
from streams.errors import StageInputError, StageOutputError
from streams.json_form import json_value
from streams.lms.dspy_bridge import BridgeEngine
from streams.lms.dspy_engine import CallsEngine, SyncEngine, bound_lm
from streams.programs import Inputs
from streams.stage import LM, Calls, Fields, RunContext, StageOutcome
from streams.stages.adapter import UnshownHistoryError
from streams.user_call import carried

BAD_HISTORY: Final = "a turn of the history cannot be shown"
UNPARSED: Final = "the answer does not fit the signature"

Trace = list[tuple[dspy.Predict, Mapping[str, Any], dspy.Prediction]]
"""Each predictor that was asked, with what, and what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A module as it is asked once, and what is made of its prediction."""

    module: dspy.Module
    outputs: Callable[[dspy.Prediction], Fields]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """In what circumstances a module is asked."""

    adapter: dspy.ChatAdapter
    trace: Trace | None = None
    """Takes what happened, if it is wanted."""


class Way(Protocol):
    """Where a module runs."""

    async def __call__(
        self, module: dspy.Module, inputs: Fields, asks: "Asks", engine: CallsEngine
    ) -> dspy.Prediction: ...


class Asks:
    """The settings that a module finds while it runs: the LM is ours, and only ours."""

    def __init__(self, lm: LM, manner: Manner) -> None:
        self._lm = lm
        self._manner = manner

    def through(self, engine: CallsEngine, sync: SyncEngine | None = None) -> Any:  # noqa: ANN401 - DSPy's context manager
        """Return the context to enter, and to leave in the same function.

        dspy.context, never dspy.configure: requests share one process, and a global LM
        set for one would answer for all. Left by who entered it, so that nothing leaks
        into whoever awaits it.
        """
        return dspy.context(
            lm=bound_lm(engine, self._lm.name, sync),
            adapter=self._manner.adapter,
            trace=self._manner.trace,
            callbacks=[],
            disable_history=True,
            warn_on_type_mismatch=False,
        )


async def on_loop(
    module: dspy.Module, inputs: Fields, asks: Asks, engine: CallsEngine
) -> dspy.Prediction:
    """Await the module's own ``aforward``."""
    with asks.through(engine):
        return await module.acall(**inputs)


class OnThreads:
    """Runs a module that has only ``forward`` on a thread of *lane*.

    A thread cannot be interrupted: a module that was cancelled, or timed out, goes on
    until it asks its LM again, and ends there.
    """

    def __init__(self, lane: Executor) -> None:
        self._lane = lane

    async def __call__(
        self, module: dspy.Module, inputs: Fields, asks: Asks, engine: CallsEngine
    ) -> dspy.Prediction:
        loop = asyncio.get_running_loop()
        bridge = BridgeEngine(engine, loop)

        def call() -> dspy.Prediction:
            with asks.through(engine, bridge):
                return module(**inputs)

        try:
            return await loop.run_in_executor(self._lane, partial(carried, call))
        finally:
            bridge.close()


class ModuleStage:
    """A stage whose work is a DSPy module's."""

    def __init__(  # noqa: PLR0913 - what a module needs around it, each once
        self,
        name: str,
        version: str,
        *,
        lm: LM,
        inputs: Inputs,
        ready: Callable[[RunContext], Ready],
        adapter: dspy.ChatAdapter,
        way: Way = on_loop,
    ) -> None:
        self.name = name
        self.version = version
        self.lm = lm
        self.manner = Manner(adapter=adapter)
        self._inputs = inputs
        self._ready = ready
        self._way = way

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        """Answer once.

        Raises:
            StageInputError: an input is missing.
            StageOutputError: an answer does not fit the signature.
            ModelError: the LM gave no answer.
        """
        outcome, _ = await self.ask(fields, run, self.manner)
        return outcome

    async def ask(
        self, fields: Fields, run: RunContext, manner: Manner
    ) -> tuple[StageOutcome, dspy.Prediction]:
        """Answer once in this *manner*; return what DSPy made of it as well."""
        self._inputs.check(fields)
        ready = self._ready(run)
        prediction, usage = await ask_module(
            self.name,
            ready.module,
            self.given(fields, run),
            lm=self.lm,
            calls=run.calls,
            manner=manner,
            way=self._way,
        )
        outputs = ready.outputs(prediction)
        return StageOutcome(outputs=outputs, usage=usage), prediction

    def given(self, fields: Fields, run: RunContext) -> Fields:
        """Return what the module is called with."""
        return self._inputs.given(json_value(fields), run.history)


async def ask_module(  # noqa: PLR0913 - a module and all that it may touch
    stage: str,
    module: dspy.Module,
    inputs: Fields,
    *,
    lm: LM,
    calls: Calls,
    manner: Manner,
    way: Way = on_loop,
) -> tuple[dspy.Prediction, Usage]:
    """Return what *module* makes of *inputs*, and what it cost.

    Raises:
        StageInputError: the history cannot be shown.
        StageOutputError: an answer does not fit the signature.
        ModelError: the LM gave no answer.
    """
    engine = CallsEngine(lm, calls)
    try:
        prediction = await way(module, inputs, Asks(lm, manner), engine)
    except AdapterParseError as error:
        # Its own message quotes the whole answer.
        raise StageOutputError(stage, UNPARSED) from error
    except UnshownHistoryError as error:
        raise StageInputError(stage, BAD_HISTORY) from error
    except dspy.DSPyError:
        if engine.failure is None:
            raise
        raise engine.failure from None
    return prediction, engine.usage
