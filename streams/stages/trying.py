"""One try of several: calls of its own, a warmer LM, and what its answer is worth."""

import inspect
import math
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import replace
from typing import Final

from msgspec.structs import replace as replaced

from streams.errors import StageBugError, StageOutputError
from streams.language.stage_spec import StageSpec, Workshop
from streams.language.trials import find_reward
from streams.signatures.types import Field
from streams.signatures.validate import Validator, sentence
from streams.stage import LM, Answer, Calls, Fields, LMCall, RunContext, StageOutcome
from streams.user_call import UserCall, source_fingerprint

TEMPERATURE: Final = 1.0
"""DSPy's for all tries: at 0 they would be the same."""


class WarmCalls:
    """Calls of one try: asked at :data:`TEMPERATURE`, unless the program says other."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def ask(self, lm: LM, call: LMCall) -> Answer:
        """Ask *call*, warmer."""
        params = {"temperature": TEMPERATURE, **call.params}
        return await self._calls.ask(lm, replace(call, params=params))

    async def effect(
        self, name: str, digest: str, run: Callable[[], Awaitable[str]]
    ) -> str:
        """Do it as without us."""
        return await self._calls.effect(name, digest, run)

    def branch(self, name: str) -> "WarmCalls":
        """Return a branch as warm."""
        return WarmCalls(self._calls.branch(name))


def one_try(run: RunContext, number: int) -> RunContext:
    """Return *run* for try *number*, from 1: its journal is found under ``try.1``."""
    return replaced(run, calls=WarmCalls(run.calls.branch(f"try.{number}")))


class Judge:
    """Says whether the outputs of a try can be used, and what they are worth."""

    def __init__(
        self, spec: StageSpec, shop: Workshop, leaves: tuple[Field, ...], reward: str
    ) -> None:
        """*reward* is where the user's function is.

        Raises:
            ConfigError: it is not there, or does not take inputs and outputs.
        """
        function = find_reward(reward, shop.code)
        self._stage = spec.name
        self._check = Validator(leaves)
        self._reward = UserCall(function, shop.code.lane)
        self.fingerprint = f"{reward}@{source_fingerprint(function)}"

    @property
    def source(self) -> str:
        """The code of the reward."""
        return inspect.getsource(self._reward.function)

    def usable(self, outcome: StageOutcome) -> Fields:
        """Return clean outputs.

        Raises:
            StageOutputError: they do not fit their fields.
        """
        outputs, problems = self._check(outcome.outputs)
        if problems:
            raise StageOutputError(self._stage, sentence(problems))
        return outputs

    async def worth(self, fields: Fields, outputs: Fields) -> float:
        """Return the reward.

        Raises:
            StageBugError: it is no number.
        """
        # Copies: what it does to a list is nobody else's business.
        given, made = deepcopy(dict(fields)), deepcopy(dict(outputs))
        reward = await self._reward(given, made)
        if not isinstance(reward, int | float) or math.isnan(reward):
            error = TypeError(f"the reward returned {reward!r:.40}, not a number")
            raise StageBugError(self._stage, error)
        return float(reward)


class Tries:
    """The tries of one call of a stage: the best so far, and those that failed."""

    def __init__(self, fail_count: int) -> None:
        self._fail_count = fail_count
        self._failed = 0
        self._error: StageOutputError | None = None
        self._best: Fields | None = None
        self._worth = -math.inf

    def take(self, outputs: Fields, worth: float) -> None:
        """Keep *outputs* if nothing before was worth as much."""
        if self._best is None or worth > self._worth:
            self._best, self._worth = outputs, worth

    def fail(self, error: StageOutputError) -> None:
        """Note a try without usable outputs.

        Raises:
            StageOutputError: it was one too many.
        """
        self._failed, self._error = self._failed + 1, error
        if self._failed > self._fail_count:
            raise error

    def best(self) -> Fields:
        """Return the best outputs.

        Raises:
            StageOutputError: of the last try, if there are none.
        """
        if self._best is None:
            assert self._error is not None  # noqa: S101 - there was a try
            raise self._error
        return self._best
