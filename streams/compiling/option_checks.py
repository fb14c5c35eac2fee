"""What is wrong with a stage whatever its signature says: tools, rewards, programs.

Builders stop at the first of these, and need a signature. So that a stage's mistakes
are all told at once, they are looked for here where no stage could be built, and the
stage is built again without what is wrong.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from streams.errors import ConfigError
from streams.language.program_file import ProgramUse
from streams.language.program_state import read_state
from streams.language.stage_spec import Workshop
from streams.language.tools import ToolUse, unknown_tools
from streams.language.trials import Trials, find_reward


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Options that were checked."""

    problems: tuple[tuple[str, str], ...]
    """Key below the stage (``best_of.reward``), and sentence."""
    options: Mapping[str, Any]
    """Without what is wrong; what a builder says of these is said of the rest."""
    enough: bool
    """Whether they are enough to build a stage of."""


def checked(options: Mapping[str, Any], shop: Workshop) -> Checked:
    """Return what is wrong with *options*, and the others."""
    found: list[tuple[str, str]] = []
    clean, enough = dict(options), True
    for key, value in options.items():
        match value:
            case ToolUse():
                wrong = unknown_tools(value, shop.tools)
                known = (name for name in value.tools if name in shop.tools)
                found += [("tools", sentence) for sentence in wrong]
                clean[key] = replace(value, tools=tuple(known))
            case Trials():
                wrong = _reward_problems(value, shop)
                found += [(f"{value.manner}.reward", sentence) for sentence in wrong]
                clean[key] = None if wrong else value
            case ProgramUse():
                problems = list(_program_problems(value, shop))
                found += problems
                enough = all(place != "class" for place, _ in problems)
                clean[key] = replace(value, state=None) if problems else value
            case _:
                pass
    return Checked(problems=tuple(found), options=clean, enough=enough)


def _reward_problems(trials: Trials, shop: Workshop) -> list[str]:
    try:
        find_reward(trials.reward, shop.code)
    except ConfigError as error:
        return list(error.problems)
    return []


def _program_problems(use: ProgramUse, shop: Workshop) -> Iterator[tuple[str, str]]:
    try:
        if use.target is not None:
            shop.code.find(use.target)
    except ConfigError as error:
        yield from (("class", sentence) for sentence in error.problems)
    try:
        if use.state is not None:
            read_state(shop.folder, use.state)
    except ConfigError as error:
        yield from (("state", sentence) for sentence in error.problems)
