"""Faults that happen to the LM, and to the wire to it."""

import random
import time

from tests.faults.town import Town


def reset(town: Town, _: str, dice: random.Random) -> None:
    for _ in range(10):
        town.lm_wire.reset()
        time.sleep(dice.uniform(0.1, 0.8))


def away(town: Town, _: str, dice: random.Random) -> None:
    town.lm.shut()
    time.sleep(dice.uniform(2, 10))
    town.lm.mend()


def stall(town: Town, _: str, dice: random.Random) -> None:
    town.lm_wire.stall()
    time.sleep(dice.uniform(2, 10))
    town.lm_wire.mend()


def garbage(town: Town, _: str, dice: random.Random) -> None:
    _misbehave(town, dice, garbage_rate=0.3, error_rate=0.1)


def busy(town: Town, _: str, dice: random.Random) -> None:
    _misbehave(town, dice, busy_rate=0.5, retry_after_s=0.5)


def hang(town: Town, _: str, dice: random.Random) -> None:
    _misbehave(town, dice, hang_rate=0.05)


def slow(town: Town, _: str, dice: random.Random) -> None:
    _misbehave(town, dice, latency="lognormal", latency_ms=150, spread_ms=600)


def _misbehave(town: Town, dice: random.Random, **behaviour: object) -> None:
    town.lm.behave(**behaviour)
    time.sleep(dice.uniform(4, 8))
    town.lm.mend()
