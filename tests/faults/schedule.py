"""The schedule of a campaign: a seed decides which faults come when, and to whom."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

JITTER: Final = 0.25
"""Of the time between two faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One fault to come."""

    at_s: float
    """After the beginning of the campaign; later if the one before is not over."""
    fault: str
    target: str
    seed: int
    """Decides what the fault leaves open: how long, which file, which point."""

    def __str__(self) -> str:
        return f"{self.at_s:7.1f} s  {self.fault:<18} {self.target:<8} {self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All faults of a campaign; the same seed and arguments give the same plan."""

    seed: int
    lasts_s: float
    faults: tuple[Planned, ...]


def plan(
    *,
    seed: int,
    lasts_s: float,
    every_s: float,
    faults: Sequence[str],
    targets: Sequence[str],
) -> Plan:
    """Return a plan in which every fault comes before any comes again.

    Args:
        seed: decides everything that is not said here.
        lasts_s: length of the campaign, seconds.
        every_s: mean time between the beginnings of two faults, seconds.
        faults: names of faults.
        targets: names of workers.
    """
    dice = random.Random(seed)  # noqa: S311 - a dice, not a key
    planned: list[Planned] = []
    deck: list[str] = []
    for number in range(int(lasts_s / every_s)):
        if not deck:
            deck = dice.sample(list(faults), len(faults))
        shift_s = dice.uniform(0, JITTER) * every_s
        planned.append(
            Planned(
                at_s=round(number * every_s + shift_s, 1),
                fault=deck.pop(),
                target=dice.choice(targets),
                seed=dice.randrange(1 << 31),
            )
        )
    return Plan(seed=seed, lasts_s=lasts_s, faults=tuple(planned))
