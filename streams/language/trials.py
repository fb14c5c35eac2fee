"""``best_of`` and ``refine``: keys of stages whose LM may try several times.

    draft: {predict: "...", best_of: {n: 3, reward: "desk:short", threshold: 1}}

A reward is a function of the user's: inputs and outputs of the stage in, as two dicts,
a number out, the more the better.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from streams.errors import ConfigError
from streams.language.section import Section
from streams.user_code import UserCode

TRIAL_KEYS: Final = ("best_of", "refine")
KEYS: Final = ("n", "reward", "threshold", "fail_count")

MOST_TRIES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """How often a stage tries, and what makes an answer good."""

    manner: Literal["best_of", "refine"]
    """Whether tries know nothing of each other, or get advice from those before."""
    n: int
    reward: str
    """``module:function``."""
    threshold: float
    """A reward that ends the tries."""
    fail_count: int
    """Tries that may end without usable outputs; one more ends the stage."""

    @property
    def bounds(self) -> list[float]:
        """What of them decides which answer it is; the reward is known by its code."""
        return [self.n, self.threshold, self.fail_count]


def read_trials(section: Section) -> Mapping[str, Any]:
    """Return the option ``trials`` of an entry: a :class:`Trials`, or None."""
    found = {key: _read(section, key) for key in TRIAL_KEYS if section.has(key)}
    if len(found) > 1:
        section.wrong("refine", "the stage has best_of already; one of them is enough")
    return {"trials": next(iter(found.values()), None)}


def find_reward(target: str, code: UserCode) -> Callable[..., Any]:
    """Return the function at *target*.

    Raises:
        ConfigError: it is not there, or does not take inputs and outputs.
    """
    function = code.find(target)
    try:
        inspect.signature(function).bind({}, {})
    except (TypeError, ValueError) as error:
        reason = f"{target} cannot be called with inputs and outputs: {error}"
        raise ConfigError([reason]) from error
    return function


def _read(section: Section, key: str) -> Trials | None:
    entry = section.sub(key)
    if not entry.readable:
        return None
    entry.only(KEYS)
    n = entry.whole("n", low=2, high=MOST_TRIES)
    if not entry.has("n"):
        entry.wrong("n", "is missing")
    reward = entry.text("reward", needed=True)
    threshold = _number(entry, "threshold")
    failing = entry.whole("fail_count", low=0, high=MOST_TRIES)
    if reward is None:
        return None
    # A file with a wrong number is refused; its reward is looked for all the same.
    n = n or MOST_TRIES
    return Trials(
        manner="refine" if key == "refine" else "best_of",
        n=n,
        reward=reward,
        threshold=threshold or 0.0,
        fail_count=n if failing is None else failing,
    )


def _number(entry: Section, key: str) -> float | None:
    value = entry.get(key)
    if value is None:
        entry.wrong(key, "is missing")
    elif type(value) in (int, float) and math.isfinite(value):
        return float(value)
    else:
        entry.wrong(key, "must be a number")
    return None
