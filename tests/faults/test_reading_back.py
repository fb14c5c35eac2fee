"""What the checker reads with: keys' homes, wires, and the broker's own log."""

import socket
import socketserver
import threading
from collections.abc import Sequence

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from agents.routing import home_partition
from tests.faults.avro import NotOursError, Schemas
from tests.faults.batches import batches_of
from tests.faults.history import Batch
from tests.faults.murmur import home
from tests.faults.reading import NoBrokerError, Reader
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask
from tests.integration.texts import ECHO
from tests.integration.verdict import answered
from tests.integration.wire import Wire

TOPIC = "faults-batches"


def test_keys_live_where_kafka_s_own_partitioner_says():
    # What Java's producer says of these, and what our own code says of the rest.
    assert [home(key, 2**31) for key in ("21", "foobar")] == [1173551340, 1357151166]
    for key in ("", "a", "session-1", "ünï", "x" * 99):
        assert home(key, 24) == home_partition(key, 24)


def test_bytes_that_are_not_the_whole_of_a_record_are_not_ours():
    schemas = Schemas()
    schemas.learn(b'{"id": 7, "schema": "\\"string\\""}')
    assert schemas.decode(b"\0\0\0\0\x07\x04hi") == "hi"
    for wrong in (
        None,
        b"",
        b"\0",
        b"\0\0\0\0\x07\x04h",
        b"\0\0\0\0\x07\x04hi!",
        b"\0\0\0\0\x08",
    ):
        with pytest.raises(NotOursError):
            schemas.decode(wrong)


class Echo(socketserver.BaseRequestHandler):
    """Says what it hears."""

    def handle(self):
        while piece := self.request.recv(100):
            self.request.sendall(piece)


@pytest.fixture
def echo():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = False
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


def says(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    return client.recv(100)


def test_a_wire_that_is_stalled_keeps_its_connections_and_says_nothing(echo):
    with Wire(0, echo) as wire:
        address = ("127.0.0.1", wire.port)
        with socket.create_connection(address, timeout=5) as client:
            assert says(client, b"one") == b"one"
            wire.stall()
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                says(client, b"two")
            wire.mend()
            client.settimeout(5)
            assert client.recv(100) == b"two"


def is_over(connection: socket.socket) -> bool:
    """Say whether a connection ended; a reset if something was on its way."""
    try:
        return not says(connection, b"x")
    except ConnectionError:
        return True


def test_a_wire_that_is_cut_for_one_lets_others_through(echo):
    owners = ["one", "two"]
    with Wire(0, echo, lambda _: owners.pop(0)) as wire:
        address = ("127.0.0.1", wire.port)
        with socket.create_connection(address, timeout=5) as one:
            # Answered before the other one comes: owners are given in this order.
            assert says(one, b"x") == b"x"
            with socket.create_connection(address, timeout=5) as two:
                assert says(two, b"x") == b"x"
                wire.cut("one")
                eventually(lambda: is_over(one), within_s=5, what="an end")
                assert says(two, b"x") == b"x"


def ended(batches: Sequence[Batch]) -> Sequence[Batch]:
    """Return *batches* once no transaction of them is open."""
    return [] if any(b.outcome == "open" for b in batches) else batches


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_the_brokers_log_tells_what_was_committed_and_by_whom(broker, compression):
    topic = f"{TOPIC}-{compression}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    config = {
        "bootstrap.servers": broker.bootstrap,
        "log_level": 0,
        "compression.type": compression,
    }
    plain = Producer(config)
    plain.produce(topic, b"plain", partition=0)
    plain.flush(20)
    ours = Producer(config | {"transactional.id": topic})
    ours.init_transactions(20)
    for end in (ours.abort_transaction, ours.commit_transaction):
        ours.begin_transaction()
        for _ in range(3):
            ours.produce(topic, b"x" * 500, partition=0)
        ours.flush(20)
        end(20)
    # The broker answers EndTxn first, and writes the marker then.
    found = eventually(
        lambda: ended(batches_of(broker.folder / "data", topic, 0)),
        within_s=10,
        what="markers",
    )
    outcomes = {o: b.outcome for b in found for o in range(b.at.offset, b.last + 1)}
    # An offset between them is each marker's.
    assert outcomes == {
        0: "plain",
        **dict.fromkeys((1, 2, 3), "aborted"),
        **dict.fromkeys((5, 6, 7), "committed"),
    }
    assert [batch.transactional for batch in found] == [False, True, True]
    assert found[1].producer == found[2].producer >= 0


def test_a_consumer_that_brings_nothing_more_is_replaced(new_lab):
    lab = new_lab({"echo": ECHO})
    asks = [
        Ask(request_id=f"r{i}", session_id=None, inputs={"ticket": "x"})
        for i in range(9)
    ]
    worker = lab.worker().ready()
    lab.send("echo", asks[:3])
    answered(lab.tail(lab.topic("echo", "results")), 3, within_s=30)
    assert worker.terminate() == 0
    reader = Reader(lab.bootstrap, lab.prefix, ("echo",), PARTITIONS)
    reader.read(reader.ends())
    consumer = reader._consumer  # noqa: SLF001 - it is to fail
    consumer.pause(consumer.assignment())
    lab.send("echo", asks[3:])
    with pytest.raises(NoBrokerError):
        reader.read(reader.ends(), within_s=0.5)
    reader.read(reader.ends())
    found = [asked.key.request_id for asked in reader.history.asked]
    assert sorted(found) == sorted(ask.request_id for ask in asks)
