"""Faults that happen to the broker, to a topic, and what a sudden load is."""

import random
import time
from typing import Final

from tests.faults.town import Town

REFUSES_BYTES: Final = 256
"""Less than any record of ours. Less than 78 would refuse the broker's own markers:
then its coordinator gives up on that transaction until the broker is restarted."""

REQUEST_TIMEOUT_S: Final = 15.0
"""Longest that a worker waits for a reply of a broker that is away."""


def stop(town: Town, _target: str, _: random.Random) -> None:
    town.broker.stop()
    town.broker.resume()


def kill(town: Town, _target: str, _: random.Random) -> None:
    town.broker.kill()
    town.broker.resume()


def away(town: Town, _target: str, _: random.Random) -> None:
    town.broker.stop()
    time.sleep(2 * REQUEST_TIMEOUT_S)
    town.broker.resume()


def refused(town: Town, _target: str, dice: random.Random) -> None:
    """Let a topic take nothing for a while: everybody holds, nobody skips."""
    topic = town.lab.topic("echo", dice.choice(("results", "stages", "dlq")))
    limit = town.lab.config(topic)["max.message.bytes"].value
    town.lab.alter(topic, max_message_bytes=REFUSES_BYTES)
    time.sleep(dice.uniform(1, 5))
    town.lab.alter(topic, max_message_bytes=limit)


def burst(town: Town, _target: str, _: random.Random) -> None:
    town.load.burst(1_000)


def many_sessions(town: Town, _target: str, _: random.Random) -> None:
    """Let 10,000 sessions ask once each, at once."""
    town.load.crowd(10_000)
