"""Put ``best_of`` or ``refine`` around a stage, where its entry says so."""

from collections.abc import Callable

import dspy

from streams.errors import ConfigError
from streams.language.adapter_choice import adapter_of
from streams.language.stage_spec import StageSpec, Workshop
from streams.language.trials import Trials
from streams.signatures.types import Field
from streams.stage import Stage
from streams.stages.asking import ModuleStage
from streams.stages.best_of import BestOf
from streams.stages.hints import HINT
from streams.stages.refine import Refined
from streams.stages.trying import Judge

Asked = Callable[[], tuple[ModuleStage, dspy.Module]]


def tried(
    spec: StageSpec,
    shop: Workshop,
    leaves: tuple[Field, ...],
    stage: Stage,
    asked: Asked,
) -> Stage:
    """Return *stage*, tried as often as *spec* says.

    *asked* makes the same stage in DSPy's own way, which alone knows what happened.

    Raises:
        ConfigError: the reward is not there, or a field has the name of the hint.
    """
    trials: Trials | None = spec.options.get("trials")
    if trials is None:
        return stage
    judge = Judge(spec, shop, leaves, trials.reward)
    if trials.manner == "best_of":
        return BestOf(stage, trials, judge)
    if any(field.name == HINT for field in (*spec.inputs, *leaves)):
        reason = f"{HINT} is a name that refine uses itself; rename the field"
        raise ConfigError([reason])
    inner, module = asked()
    return Refined(inner, module, trials, judge, adapter_of(spec.options))
