"""``refine``: try, have the LM say what was wrong, and try again with its advice.

As ``dspy.Refine``, in the same words, but on the loop: after a try that is worth less
than the threshold the LM reads the program, what it did and the reward's code, and
gives each predictor a hint that its next prompt ends with.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import dspy
import orjson
from dspy.predict.refine import OfferFeedback, inspect_modules, recursive_mask

from schemas.records import Usage
from streams.errors import StageOutputError
from streams.language.adapter_choice import DEFAULT, AdapterName
from streams.language.trials import Trials
from streams.stage import Fields, RunContext, StageOutcome
from streams.stages.adapter import serving_adapter
from streams.stages.asking import Manner, ModuleStage, Trace, ask_module
from streams.stages.hints import NO_ADVICE, HintingAdapter
from streams.stages.trying import Judge, Tries, one_try
from streams.versions import version_of


class Refined:
    """A stage that is asked up to n times, each time with advice from the last."""

    def __init__(
        self,
        inner: ModuleStage,
        module: dspy.Module,
        trials: Trials,
        judge: Judge,
        layout: AdapterName = DEFAULT,
    ) -> None:
        self._inner = inner
        self._trials = trials
        self._judge = judge
        self._names = {id(p): name for name, p in module.named_predictors()}
        self._signatures = {p.signature: n for n, p in module.named_predictors()}
        self._told = {
            "program_code": inspect.getsource(_of_dspy(type(module))),
            "modules_defn": inspect_modules(module),
            "reward_code": judge.source,
            "target_threshold": trials.threshold,
            "module_names": [name for name, _ in module.named_predictors()],
        }
        self._feedback = dspy.Predict(OfferFeedback)
        self._feedback_manner = Manner(adapter=serving_adapter(self._feedback, layout))

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def version(self) -> str:
        bounds, judged = self._trials.bounds, self._judge.fingerprint
        asked = self._feedback.signature.dump_state()
        return version_of(
            "refine", self._inner.version, bounds, judged, self._told, asked
        )

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        """Answer once; errors as those of the stage that is tried.

        Raises:
            StageOutputError: no try, or too few of them, could be used.
        """
        tries, usage = Tries(self._trials.fail_count), Usage()
        advice: Mapping[str, str] = {}
        for number in range(1, self._trials.n + 1):
            trace: Trace = []
            try:
                outcome, said = await self._inner.ask(
                    fields, one_try(run, number), self._manner(advice, trace)
                )
                usage = usage.plus(outcome.usage)
                outputs = self._judge.usable(outcome)
                worth = await self._judge.worth(fields, outputs)
                tries.take(outputs, worth)
                if worth >= self._trials.threshold or number == self._trials.n:
                    break
                happened = self._happened(fields, run, trace, said, worth)
                advice, spent = await self._advice(run, number, happened)
                usage = usage.plus(spent)
            except StageOutputError as error:
                tries.fail(error)
        return StageOutcome(outputs=tries.best(), usage=usage)

    def _manner(self, advice: Mapping[str, str], trace: Trace) -> Manner:
        plain = self._inner.manner.adapter
        if not advice:
            return Manner(adapter=plain, trace=trace)
        hints = {s: advice.get(name, NO_ADVICE) for s, name in self._signatures.items()}
        return Manner(adapter=HintingAdapter(plain, hints), trace=trace)

    def _happened(
        self,
        fields: Fields,
        run: RunContext,
        trace: Trace,
        said: dspy.Prediction,
        worth: float,
    ) -> Mapping[str, str]:
        steps: Sequence[Mapping[str, Any]] = [
            {
                "module_name": self._names[id(predictor)],
                "inputs": inputs,
                "outputs": dict(made),
            }
            for predictor, inputs, made in trace
        ]
        told = {
            **self._told,
            "program_inputs": self._inner.given(fields, run),
            "program_trajectory": steps,
            "program_outputs": dict(said),
            "reward_value": worth,
        }
        return {name: _written(value) for name, value in told.items()}

    async def _advice(
        self, run: RunContext, number: int, happened: Mapping[str, str]
    ) -> tuple[Mapping[str, str], Usage]:
        prediction, spent = await ask_module(
            self.name,
            self._feedback,
            happened,
            lm=self._inner.lm,
            calls=run.calls.branch(f"advice.{number}"),
            manner=self._feedback_manner,
        )
        return prediction["advice"], spent


def _written(value: Any) -> str:  # noqa: ANN401 - whatever a program is given
    if isinstance(value, str):
        return value
    return orjson.dumps(recursive_mask(value), option=orjson.OPT_INDENT_2).decode()


def _of_dspy(kind: type) -> type:
    # Ours only make DSPy's faster: an LM is shown what they are.
    if kind.__module__.startswith("streams."):
        return next(
            each for each in kind.__mro__ if each.__module__.startswith("dspy.")
        )
    return kind
