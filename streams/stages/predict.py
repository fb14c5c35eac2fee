"""``predict``: ask the LM once, straight for the outputs of the signature."""

from streams.language.stage_spec import StageSpec, Workshop
from streams.stage import Stage
from streams.stages.compiled import build


def build_predict(spec: StageSpec, shop: Workshop) -> Stage:
    """Return the stage: ``dspy.Predict`` on the signature of *spec*.

    Raises:
        ConfigError: DSPy cannot have such a signature; with every problem.
    """
    return build("predict", spec, shop)
