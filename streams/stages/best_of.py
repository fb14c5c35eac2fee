"""``best_of``: try several times, keep the answer of the highest reward.

As ``dspy.BestOfN``, but on the loop, and for many requests at once. Tries come one
after the other, since a good one ends them; they are journaled one by one.

Failed tries are those whose answer cannot be used. An LM that does not answer is none:
the run repeats the attempt, and finds the tries that were made in its journal.
"""

from schemas.records import Usage
from streams.errors import StageOutputError
from streams.language.trials import Trials
from streams.stage import Fields, RunContext, Stage, StageOutcome
from streams.stages.trying import Judge, Tries, one_try
from streams.versions import version_of


class BestOf:
    """A stage that is asked up to n times."""

    def __init__(self, inner: Stage, trials: Trials, judge: Judge) -> None:
        self._inner = inner
        self._trials = trials
        self._judge = judge

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def version(self) -> str:
        bounds, judged = self._trials.bounds, self._judge.fingerprint
        return version_of("best_of", self._inner.version, bounds, judged)

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        """Answer once; errors as those of the stage that is tried.

        Raises:
            StageOutputError: no try, or too few of them, could be used.
        """
        tries, usage = Tries(self._trials.fail_count), Usage()
        for number in range(1, self._trials.n + 1):
            try:
                outcome = await self._inner(fields, one_try(run, number))
                outputs = self._judge.usable(outcome)
            except StageOutputError as error:
                tries.fail(error)
                continue
            usage = usage.plus(outcome.usage)
            worth = await self._judge.worth(fields, outputs)
            tries.take(outputs, worth)
            if worth >= self._trials.threshold:
                break
        return StageOutcome(outputs=tries.best(), usage=usage)
