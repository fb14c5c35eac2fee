"""What becomes of a stage's failure, in a few words."""

from streams.planned import Fail, OnFailure, Skip, UseDefault, UseStage


def policy_words(policy: OnFailure) -> str:
    """Return ``fail``, ``skip``, ``default category, sure`` or ``stage other``."""
    match policy:
        case Fail():
            return "fail"
        case Skip():
            return "skip"
        case UseDefault(outputs=outputs):
            return f"default {', '.join(outputs)}"
        case UseStage(stage=other):
            return f"stage {other.name}"
