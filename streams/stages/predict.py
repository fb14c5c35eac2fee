"""``predict``: ask the LM once, straight for the outputs of the signature."""

from streams.stage import LM, Stage
from streams.stage_spec import StageSpec
from streams.stages.compiled import build


def build_predict(spec: StageSpec, lm: LM) -> Stage:
    """Return the stage: ``dspy.Predict`` on the signature of *spec*.

    Raises:
        ConfigError: DSPy cannot have such a signature; with every problem.
    """
    return build("predict", spec, lm)
