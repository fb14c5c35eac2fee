"""What ``PENSTOCK_FAILPOINTS`` may say: points, what happens there, and when.

Rules are written ``point=action@when``, with ``;`` between them:

    commit.before_end=kill@20          at the 20th passage
    store.apply=enospc@every:5         at the 5th, the 10th, …
    commit.after_end=drop-reply@p:0.01 at one passage in a hundred
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from streams.errors import ConfigError

RULES: Final = "PENSTOCK_FAILPOINTS"

ANYWHERE: Final = frozenset({"kill", "stop", "sleep"})
"""SIGKILL or SIGSTOP to this process; ``sleep:<seconds>``, which in a store blocks
the event loop, as a slow disk does."""

POINTS: Final[Mapping[str, frozenset[str]]] = {
    # Fenced the former owner (InitProducerId); nothing restored yet.
    "claim.after_init": ANYWHERE | {"error"},
    # Restored; the first transaction of this owner has not begun.
    "claim.before_begin": ANYWHERE | {"error"},
    # That transaction is in; the stores do not have it.
    "claim.after_end": ANYWHERE | {"drop-reply"},
    # A transaction with settlements is about to begin.
    "commit.before_begin": ANYWHERE | {"error"},
    # All its records are acknowledged; EndTxn is not sent.
    "commit.before_end": ANYWHERE | {"error"},
    # EndTxn is answered; the stores do not have it.
    "commit.after_end": ANYWHERE | {"drop-reply"},
    # As commit.before_begin, for a transaction with journal entries.
    "journal.before": ANYWHERE | {"error"},
    # As commit.after_end, for one with journal entries: what they say is paid for.
    "journal.after": ANYWHERE | {"drop-reply"},
    # A table's part of a transaction is about to be written; a transaction has up to
    # one for each table.
    "store.apply": ANYWHERE | {"enospc"},
    # It is written.
    "store.applied": ANYWHERE,
    # A batch of a changelog is about to be written, at a restore or after a doubt.
    "restore.apply": ANYWHERE | {"error", "enospc"},
}
"""Every point, and what may happen there beside dying: ``error`` raises a KafkaError,
``enospc`` is RocksDB's report of a full disk, ``drop-reply`` forgets that EndTxn was
answered."""

When = Callable[[int], bool]
"""Given the number of a passage, from 1: does it happen at this one?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What happens at a point, and when."""

    point: str
    action: str
    sleep_s: float
    when: When
    text: str
    """As it was written."""


def rules_of(text: str, seed: str) -> tuple[Rule, ...]:
    """Read the rules in *text*; chances follow *seed*.

    Raises:
        ConfigError: with a line for each rule that cannot be read.
    """
    rules, problems = [], []
    for part in filter(None, map(str.strip, text.split(";"))):
        try:
            rules.append(_rule(part, seed))
        except _RuleError as error:
            problems.append(f"{RULES}: {part!r}: {error}")
    if problems:
        raise ConfigError(problems)
    return tuple(rules)


class _RuleError(Exception):
    """Why a rule cannot be read."""


def _rule(text: str, seed: str) -> Rule:
    point, _, rest = text.partition("=")
    action, _, when = rest.partition("@")
    name, colon, seconds = action.partition(":")
    if point not in POINTS:
        there_are = f"no such point; there are {', '.join(POINTS)}"
        raise _RuleError(there_are)
    if name not in POINTS[point] or bool(colon) != (name == "sleep"):
        known = sorted(a + ":<seconds>" * (a == "sleep") for a in POINTS[point])
        there_are = f"no such action at {point}; there are {', '.join(known)}"
        raise _RuleError(there_are)
    return Rule(
        point=point,
        action=name,
        sleep_s=_positive(float, seconds) if colon else 0.0,
        when=_when(when, f"{seed}/{text}"),
        text=text,
    )


def _when(text: str, seed: str) -> When:
    kind, _, rest = text.rpartition(":")
    match kind:
        case "":
            wanted = _positive(int, rest)
            return lambda number: number == wanted
        case "every":
            step = _positive(int, rest)
            return lambda number: number % step == 0
        case "p":
            chance = _positive(float, rest)
            # A stream of its own for each rule: one more rule changes no other's.
            drawn = random.Random(seed)  # noqa: S311 - faults, not secrets
            return lambda _: drawn.random() < chance
        case _:
            raise _RuleError(WHENS)


WHENS: Final = "say when: @<n>, @every:<n> or @p:<chance>, of a number above 0"


def _positive(kind: Callable[[str], Any], text: str) -> Any:
    try:
        number = kind(text)
    except ValueError:
        raise _RuleError(WHENS) from None
    if not number > 0:
        raise _RuleError(WHENS)
    return number
