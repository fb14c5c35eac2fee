"""More than fits, or an LM that is away: partitions pause, nobody fails."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask
from tests.integration.lms import ThreadedLM
from tests.integration.texts import ECHO, ask_text
from tests.integration.verdict import Verdict, answered

RUNNING = 8
BASE = 200
TICKET_BYTES = 18_000
QUOTA_BYTES = 1 << 19
FETCHED_BYTES = QUOTA_BYTES + (1 << 18)
"""What one fetch may bring beyond a task's quota: the same again, and a record."""
GROWTH = 1.5
"""Memory under the burst may be this many times what it was before."""


def asks_of(name: str, count: int) -> list[Ask]:
    return [
        Ask(
            request_id=f"{name}{i}",
            session_id=None,
            inputs={"ticket": "my invoice is wrong"},
        )
        for i in range(count)
    ]


def noise(name: str) -> Callable[[], str]:
    """Make tickets that do not compress: fetches are bounded before they grow."""
    source = random.Random(name).randbytes  # noqa: S311 - no key
    return lambda: source(TICKET_BYTES // 2).hex()


def zeros(_name: str) -> Callable[[], str]:
    """Make tickets that all but vanish in a fetch, and are large afterwards."""
    return lambda: "0" * 6 * TICKET_BYTES


def large(name: str, count: int, kind: Callable[[str], Callable[[], str]]) -> list[Ask]:
    ticket = kind(name)
    return [
        replace(ask, inputs={"ticket": f"wait=0.005 {ticket()}"})
        for ask in asks_of(name, count)
    ]


def test_an_lm_that_refuses_connections_pauses_its_pipeline_and_fails_nobody(
    new_lab, tmp_path
):
    with ThreadedLM(tmp_path / "lm.log", latency_ms=20.0) as lm:
        lab = new_lab({"ask": ask_text(lm.url), "echo": ECHO}, max_running=RUNNING)
        results = lab.tail(lab.topic("ask", "results"))
        worker = lab.worker().ready()
        asks = asks_of("a", 20)
        lab.send("ask", asks)
        answered(results, 20, within_s=20)
        lm.shut()
        asks += asks_of("b", 100)
        lab.send("ask", asks[20:])
        eventually(
            lambda: worker.metric("penstock_paused_partitions") == PARTITIONS,
            within_s=20,
            what="paused partitions",
        )
        # What came first is in lanes, what comes now stays at the broker.
        asks += asks_of("c", 40)
        lab.send("ask", asks[120:])
        others = asks_of("e", 40)
        lab.send("echo", others)
        answered(lab.tail(lab.topic("echo", "results")), 40, within_s=20)
        assert len(results.all()) == 20
        at = [
            lab.committed().get((lab.topic("ask", "requests"), p), 0)
            for p in range(PARTITIONS)
        ]
        assert sum(at) <= 20
        assert worker.get("/livez")[0] == 200
        lm.open()
        answered(results, len(asks), within_s=40)
        assert worker.terminate() == 0
        verdict = Verdict.of(lab, "ask")
        verdict.check_once(asks)
        assert set(verdict.codes().values()) == {"OK"}
        Verdict.of(lab, "echo").check_once(others)


class Watch:
    """Samples a worker's memory and paused partitions while a test goes on."""

    def __init__(self, worker) -> None:
        self.most_bytes = 0
        self.most_paused = 0.0
        self.most_waiting_bytes = 0.0
        self._worker = worker
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.most_bytes = max(self.most_bytes, self._worker.rss_bytes())
            paused = self._worker.metric("penstock_paused_partitions")
            self.most_paused = max(self.most_paused, paused)
            waiting = self._worker.metric("penstock_task_waiting_bytes")
            self.most_waiting_bytes = max(self.most_waiting_bytes, waiting)


@pytest.mark.parametrize(("kind", "burst_of"), [(noise, 20 * BASE), (zeros, 5 * BASE)])
def test_a_burst_pauses_partitions_and_leaves_memory_as_it_was(
    new_lab, figures, kind, burst_of
):
    # Some 70 or 100 MB, at least thirty times what may wait.
    lab = new_lab(
        {"echo": ECHO},
        max_running=RUNNING,
        max_waiting=100,
        max_waiting_bytes=QUOTA_BYTES,
        rocksdb_cache_bytes=1 << 22,
        rocksdb_write_buffer_bytes=1 << 22,
    )
    results = lab.tail(lab.topic("echo", "results"))
    worker = lab.worker().ready()
    asks = large("a", BASE, kind)
    with Watch(worker) as before:
        lab.send("echo", asks)
        answered(results, BASE, within_s=30)
    asks += large("b", burst_of, kind)
    began_s = time.perf_counter()
    with Watch(worker) as burst:
        lab.send("echo", asks[BASE:])
        answered(results, BASE + burst_of, within_s=90)
    rate = burst_of / (time.perf_counter() - began_s)
    growth = burst.most_bytes / before.most_bytes
    figures(
        before_mb=before.most_bytes >> 20,
        growth=round(growth, 2),
        waiting_mb=round(burst.most_waiting_bytes / 1e6, 1),
        requests_per_s=round(rate),
    )
    assert burst.most_paused > 0
    assert burst.most_waiting_bytes <= PARTITIONS * (QUOTA_BYTES + FETCHED_BYTES)
    assert growth <= GROWTH
    eventually(
        lambda: not worker.metric("penstock_paused_partitions"),
        within_s=5,
        what="resumed partitions",
    )
    assert worker.terminate() == 0
    Verdict.of(lab, "echo").check_once(asks)
