"""Faults that happen to the wire between a worker and the broker."""

import random
import time
from typing import Final

from tests.faults.town import SESSION_S, Town
from tests.integration.proxy import END_TXN

COMMITS_WITHIN_S: Final = 10.0
"""There is load: somebody commits soon."""


def cut(town: Town, target: str, dice: random.Random) -> None:
    town.wire.cut(target)
    time.sleep(dice.uniform(0.2, 2 * SESSION_S))
    town.wire.mend(target)


def stall(town: Town, target: str, dice: random.Random) -> None:
    town.wire.stall(target)
    time.sleep(dice.uniform(0.5, 2 * SESSION_S))
    town.wire.mend(target)


def delay(town: Town, target: str, dice: random.Random) -> None:
    town.wire.slow(dice.uniform(0.02, 0.3), target)
    time.sleep(8)
    town.wire.mend(target)


def reset(town: Town, target: str, dice: random.Random) -> None:
    for _ in range(10):
        town.wire.reset(target)
        time.sleep(dice.uniform(0.1, 0.8))


def commit_lost(town: Town, _: str, dice: random.Random) -> None:
    """Lose some EndTxn on their way, or their replies: was it committed?"""
    for _ in range(5):
        fate = dice.choice(("lose request", "lose reply"))
        town.wire.next(END_TXN, fate).hit.wait(COMMITS_WITHIN_S)


def commit_held(town: Town, _: str, dice: random.Random) -> None:
    """Hold an EndTxn back until nobody waits for it, or its transaction is over."""
    rule = town.wire.next(END_TXN, "hold")
    rule.hit.wait(COMMITS_WITHIN_S)
    time.sleep(dice.uniform(1, 6))
    town.wire.release(rule)
