"""Workshops as builders of stages are given them."""

from streams.language.stage_spec import Workshop
from streams.user_code import UserCode


def asking(lm):
    """Return a workshop with *lm*, and no user code."""
    return Workshop(code=UserCode([]), lm=lm)
