"""The dev broker: quick, its own, restartable, and never left behind."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from aiokafka.client import AIOKafkaClient
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from agents.broker import BrokerOptions, DevBroker, detached
from agents.broker.coordinators import coordinators_answer
from agents.broker.folders import new_folder
from agents.failures import PortTakenError

START_WITHIN_S = 15.0


def create(bootstrap: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(20)


def topics(bootstrap: str) -> set[str]:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    return {name for name in admin.list_topics(timeout=20).topics if name[0] != "_"}


def round_trip(bootstrap: str, topic: str, value: bytes) -> bytes | None:
    """Produce *value* in a transaction and read it in a group."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.commit_transaction(20)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    try:
        record = consumer.poll(20)
        return record.value() if record else None
    finally:
        consumer.close()


def gone_within(pid: int, seconds: float) -> bool:
    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def test_it_takes_transactions_and_groups_as_soon_as_it_is_ready(bootstrap):
    create(bootstrap, "broker-ready")
    assert round_trip(bootstrap, "broker-ready", b"hello") == b"hello"


def test_an_undeclared_topic_is_not_created_by_asking_for_it(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.list_topics("broker-undeclared", timeout=20)
    assert "broker-undeclared" not in topics(bootstrap)


def test_two_brokers_start_at_once_and_do_not_collide(kafka):
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: DevBroker.start(kafka), range(2))
    took_s = time.perf_counter() - began
    with one, two:
        assert one.bootstrap != two.bootstrap
        create(one.bootstrap, "broker-mine")
        assert "broker-mine" not in topics(two.bootstrap)
    assert took_s < 2 * START_WITHIN_S
    assert not one.folder.exists()


@pytest.fixture(scope="module")
def proxy_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def own(kafka, proxy_port) -> Iterator[DevBroker]:
    """A broker that these tests may hurt."""
    with DevBroker.start(kafka, BrokerOptions(proxy_port=proxy_port)) as broker:
        yield broker


def test_it_comes_back_on_the_same_port_with_the_same_data(own):
    before = own.bootstrap
    create(before, "broker-kept")
    for end in (own.stop, own.kill):
        end()
        assert not coordinators_answer(own.identity.direct, own.identity.node_id)
        own.resume()
        assert own.bootstrap == before
        assert "broker-kept" in topics(before)


async def test_behind_a_proxy_it_names_the_proxy_to_those_who_came_through_it(
    own, proxy_port
):
    async def advertised(port: int) -> int:
        # It asks whom it was given and connects to nobody else, unlike librdkafka,
        # which would look for the proxy.
        client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}")
        await client.bootstrap()
        (node,) = client.cluster.brokers()
        await client.close()
        return int(node.port)

    assert await advertised(own.proxied_port) == proxy_port
    assert await advertised(own.identity.direct) == own.identity.direct


def test_a_port_in_use_is_said_so_and_leaves_no_process_and_no_data(kafka):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        folders = set((kafka.cache / "brokers").glob("run-*"))
        with pytest.raises(PortTakenError, match=f"port {port} is taken"):
            DevBroker.start(kafka, BrokerOptions(port=port))
    assert set((kafka.cache / "brokers").glob("run-*")) == folders


def test_a_stranger_on_the_port_is_not_taken_for_it(broker):
    assert coordinators_answer(broker.identity.direct, broker.identity.node_id)
    assert not coordinators_answer(broker.identity.direct, broker.identity.node_id + 1)


HOLDER = """
import os, sys, time
from agents.broker import DevBroker, install
broker = DevBroker.start(install(os.environ))
print(broker.pid, flush=True)
time.sleep(60)
"""


def test_it_dies_with_its_owner_even_if_that_was_killed(own_cache):
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", HOLDER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PENSTOCK_CACHE_DIR": str(own_cache)},  # noqa: TID251
        start_new_session=True,
    ) as owner:
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        owner.kill()
        owner.wait(20)
    assert gone_within(pid, 12)


def test_an_interrupted_start_leaves_no_process(own_cache):
    holder = HOLDER.replace("print(broker.pid, flush=True)", "")
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", holder],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PENSTOCK_CACHE_DIR": str(own_cache)},  # noqa: TID251
        start_new_session=True,
    ) as owner:
        me = psutil.Process(owner.pid)
        deadline = time.perf_counter() + 30
        while not (found := [p for p in me.children(recursive=True) if is_kafka(p)]):
            assert time.perf_counter() < deadline
            time.sleep(0.02)
        owner.kill()
        owner.wait(20)
    assert all(gone_within(p.pid, 12) for p in found)


def is_kafka(process: psutil.Process) -> bool:
    try:
        return process.name() == "java" and "kafka.Kafka" in process.cmdline()
    except psutil.Error:
        return False


def test_the_detached_broker_starts_once_stops_by_pid_and_keeps_its_topics(
    kafka, own_cache
):
    cache = own_cache
    own = replace(kafka, cache=own_cache)
    assert detached.find(cache) is None
    try:
        first = detached.start(own, BrokerOptions())
        assert detached.start(own, BrokerOptions()) == first
        assert detached.find(cache).running
        create(first.bootstrap, "broker-detached")
        assert detached.stop(cache, wipe=False)
        assert not detached.find(cache).running
        assert not detached.stop(cache, wipe=False)
        again = detached.start(own, BrokerOptions())
        assert again.bootstrap == first.bootstrap
        assert "broker-detached" in topics(again.bootstrap)
    finally:
        assert detached.stop(cache, wipe=True)
    assert detached.find(cache) is None


def test_a_pid_that_another_process_got_is_not_stopped(tmp_path):
    folder = tmp_path / "brokers" / "dev"
    folder.mkdir(parents=True)
    (folder / "broker.json").write_text(
        f'{{"pid":{os.getpid()},"started_ms":0,'
        '"identity":{"node_id":1,"direct":1,"controller":2,"proxied":null}}'
    )
    assert not detached.find(tmp_path).running
    assert not detached.stop(tmp_path, wipe=False)


def test_what_a_killed_owner_left_is_swept_and_nothing_else(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    left = tmp_path / "brokers" / f"run-{dead.pid}-abc"
    young = tmp_path / "brokers" / f"run-{dead.pid}-young"
    mine = new_folder(tmp_path)
    for folder in (left, young):
        folder.mkdir()
    for folder in (left, mine):
        os.utime(folder, (0, 0))
    new_folder(tmp_path)
    assert not left.exists()
    assert young.exists()
    assert mine.exists()
