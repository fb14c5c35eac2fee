"""``reason``: let the LM think aloud first, then give the outputs of the signature."""

from streams.language.stage_spec import StageSpec, Workshop
from streams.programs import outputs_of
from streams.signatures.types import Field
from streams.stage import Stage
from streams.stages.compiled import build


def build_reason(spec: StageSpec, shop: Workshop) -> Stage:
    """Return the stage: ``dspy.ChainOfThought`` on the signature of *spec*.

    Its outputs are those of :func:`reason_outputs`.

    Raises:
        ConfigError: DSPy cannot have such a signature; with every problem.
    """
    return build("reason", spec, shop)


def reason_outputs(spec: StageSpec) -> tuple[Field, ...]:
    """Return the output fields of the stage: ``reasoning`` (text), then its own."""
    return outputs_of("reason", spec)
