"""One session with far more to do than it can: what the others notice of it."""

import time
from collections.abc import Iterator
from itertools import count
from statistics import quantiles

import pytest

from agents.routing import home_partition
from tests.integration.asking import Asking, asking
from tests.integration.lab import PARTITIONS, Ask

HOT = "hot"
OTHERS = 60
LASTS_S = 20.0
OTHERS_PER_S = 12
HOT_PER_S = 12
"""Four times what one session can have of an LM that takes 150 ms, asked twice."""
TICKS_PER_S = 4

NUMBERS = count()


def turn(session: str) -> Ask:
    number = next(NUMBERS)
    return Ask(
        request_id=f"{session}-{number}",
        session_id=session,
        inputs={"ticket": f"my invoice {number} is wrong"},
    )


def others() -> Iterator[str]:
    while True:
        yield from (f"s{i}" for i in range(OTHERS))


def load(case: Asking, hot_per_s: int) -> dict[str, int]:
    """Send for a while; return when which request was sent, ms since the epoch."""
    sent: dict[str, int] = {}
    sessions, begin_s = others(), time.perf_counter()
    for tick in range(int(LASTS_S * TICKS_PER_S)):
        asks = [turn(next(sessions)) for _ in range(OTHERS_PER_S // TICKS_PER_S)]
        asks += [turn(HOT) for _ in range(hot_per_s // TICKS_PER_S)]
        now_ms = time.time_ns() // 1_000_000
        sent |= {ask.request_id: now_ms for ask in asks}
        case.asks.extend(asks)
        case.lab.send("ask", asks)
        time.sleep(max(0, (tick + 1) / TICKS_PER_S + begin_s - time.perf_counter()))
    return sent


def p99_ms(case: Asking, sent: dict[str, int], partitions: set[int]) -> float:
    """Return how long the answers in *partitions* took, but for the hot session."""
    case.answers(within_s=120)
    took = [
        seen.timestamp_ms - sent[name]
        for seen in case.results.all()
        if seen.partition in partitions
        and (name := case.lab.decode("ask", "results", seen)["request_id"]) in sent
        and not name.startswith(HOT)
    ]
    return quantiles(took, n=100)[98]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_hot_session_waits_for_itself_and_the_others_are_answered(
    new_lab, tmp_path, figures
):
    everywhere = set(range(PARTITIONS))
    beside = {home_partition(HOT, PARTITIONS)}
    with asking(new_lab, tmp_path) as case:
        case.lab.worker().ready()
        load(case, 0)  # what is slow only once
        quiet = p99_ms(case, load(case, 0), everywhere)
        sent = load(case, HOT_PER_S)
        figures(
            quiet_p99_ms=round(quiet),
            p99_ms=round(p99_ms(case, sent, everywhere)),
            p99_beside_it_ms=round(p99_ms(case, sent, beside)),
            ratio=round(p99_ms(case, sent, everywhere) / quiet, 2),
        )
        case.check()
