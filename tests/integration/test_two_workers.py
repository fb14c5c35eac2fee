"""Two workers of one group: who has lost a partition publishes nothing for it.

One of them reaches the broker through a proxy. The tests of this file share the two;
each adds requests, and checks all that were sent so far.
"""

import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer

from agents.broker import BrokerOptions, DevBroker
from agents.routing import home_partition
from tests.integration.asking import Asking, asking
from tests.integration.conftest import labs
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS
from tests.integration.processes import WorkerProcess
from tests.integration.proxy import END_TXN, Proxy

REQUESTS = 120
SESSION_S = 10


@dataclass(frozen=True)
class Pair:
    """Two workers, and the wire to the first one."""

    case: Asking
    proxy: Proxy
    one: WorkerProcess
    """Behind the proxy."""
    two: WorkerProcess
    repeated_on_arrival: dict[str, int]
    """Calls repeated when the second one joined, with calls in flight."""
    moved: frozenset[int]
    """Partitions that moved to the second one then."""

    def settled(self) -> float:
        return self.one.metric("penstock_settlements_total")

    def both_at_work(self) -> None:
        """Wait until both have partitions, and none is missing."""
        eventually(
            lambda: (
                0 < tasks(self.one) < PARTITIONS
                and tasks(self.one) + tasks(self.two) == PARTITIONS
            ),
            within_s=30,
            what="both workers have tasks",
        )

    def two_alone(self) -> None:
        """Wait until the second one has all partitions."""
        eventually(
            lambda: tasks(self.two) == PARTITIONS, within_s=30, what="all tasks on two"
        )


def tasks(worker: WorkerProcess) -> float:
    return worker.metric("penstock_tasks_live")


@pytest.fixture(scope="module")
def proxied(kafka) -> Iterator[tuple[DevBroker, Proxy]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with DevBroker.start(kafka, BrokerOptions(proxy_port=port)) as broker:
        assert broker.proxied_port is not None
        with Proxy(port, broker.proxied_port) as proxy:
            yield broker, proxy


@pytest.fixture(scope="module")
def pair(proxied, tmp_path_factory) -> Iterator[Pair]:
    broker, proxy = proxied
    folder = tmp_path_factory.mktemp("pair")
    with (
        labs(broker.bootstrap, folder) as new,
        asking(new, folder, session_timeout_s=SESSION_S) as case,
    ):
        one = case.lab.worker("one", bootstrap=proxy.bootstrap).ready()
        two = case.lab.worker("two")
        # It joins a moment after its first words; the load lasts for longer.
        eventually(lambda: two.events("worker.starting"), within_s=30, what="two")
        case.load(REQUESTS * 3)
        two.ready()
        case.answers()
        moved = frozenset(two.events("tasks.assigned")[0]["fresh"])
        yield Pair(case, proxy, one, two, case.lm.repeated(), moved)


def test_a_worker_that_joins_under_load_costs_only_calls_of_partitions_that_move(
    pair, figures
):
    pair.both_at_work()
    pair.case.check()
    assigned = pair.one.events("tasks.assigned")[-1]
    assert set(assigned["kept"]) == set(range(PARTITIONS)) - pair.moved
    assert assigned["running"] > 0, "no calls were in flight: nothing was shown"
    for call in pair.repeated_on_arrival:
        session = f"s{int(call.split('/')[0][1:]) % 80}"
        assert home_partition(session, PARTITIONS) in pair.moved, call
    figures(
        repeated_on_arrival=len(pair.repeated_on_arrival), running=assigned["running"]
    )


def test_a_commit_whose_reply_is_lost_is_not_made_twice(pair):
    before = pair.one.metric("penstock_commits_in_doubt_total", outcome="committed")
    rule = pair.proxy.next(END_TXN, "lose reply")
    pair.case.load(REQUESTS)
    assert rule.hit.wait(10)
    pair.case.answers()
    pair.case.check()
    after = pair.one.metric("penstock_commits_in_doubt_total", outcome="committed")
    assert after == before + 1


def test_a_commit_that_was_lost_is_made_again(pair):
    name = "penstock_commits_in_doubt_total"
    before = pair.one.metric(name, outcome="not_committed")
    rule = pair.proxy.next(END_TXN, "lose request")
    pair.case.load(REQUESTS)
    assert rule.hit.wait(10)
    pair.case.answers()
    pair.case.check()
    assert pair.one.metric(name, outcome="not_committed") == before + 1


def test_a_transaction_that_outlives_its_timeout_is_made_again(pair):
    name = "penstock_commits_in_doubt_total"
    before = pair.one.metric(name, outcome="not_committed")
    rule = pair.proxy.next(END_TXN, "hold")
    pair.case.load(REQUESTS)
    assert rule.hit.wait(10)
    pair.one.send(signal.SIGSTOP)
    # Only once the broker has aborted it may the worker go on and send EndTxn.
    tasks_topic = f"{pair.case.lab.settings.group}-tasks-changelog"
    nothing_open = pair.case.lab.tail(tasks_topic).nothing_open
    eventually(nothing_open, within_s=9, what="an aborted transaction")
    pair.proxy.release(rule)
    pair.one.send(signal.SIGCONT)
    pair.case.answers()
    pair.case.check()
    # Aborted by the broker, whatever the worker was told about it, and when.
    assert pair.one.metric(name, outcome="not_committed") == before + 1


def test_a_task_whose_producer_was_fenced_is_acquired_again(pair):
    pair.both_at_work()
    group = pair.case.lab.settings.group
    for partition in range(PARTITIONS):
        rival = Producer(
            {
                "bootstrap.servers": pair.case.lab.bootstrap,
                "transactional.id": f"{group}-{partition}",
                "log_level": 0,
            }
        )
        rival.init_transactions(20)
    pair.case.load(REQUESTS)
    pair.case.answers()
    pair.both_at_work()
    pair.case.check()
    dead = {
        event["partition"]
        for worker in (pair.one, pair.two)
        for event in worker.events("task.dead")
    }
    assert dead == set(range(PARTITIONS))


@pytest.mark.parametrize("connections", ["kept", "cut"])
def test_a_zombie_publishes_nothing_and_works_again(pair, connections):
    pair.both_at_work()
    pair.case.load(REQUESTS)
    pair.case.answers(but=REQUESTS * 2 // 3)
    pair.one.send(signal.SIGSTOP)
    if connections == "cut":
        pair.proxy.cut()
    pair.two_alone()
    pair.one.send(signal.SIGCONT)
    pair.case.answers()
    if connections == "cut":
        pair.proxy.mend()
    pair.both_at_work()
    pair.case.check()
    before = pair.settled()
    pair.case.load(REQUESTS)
    pair.case.answers()
    pair.case.check()
    assert pair.settled() > before
    assert pair.one.exit_code is None
