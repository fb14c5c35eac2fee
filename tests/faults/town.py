"""A town: one broker, one LM, the wires to both, an app, its workers and its load."""

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agents.broker import BrokerOptions, DevBroker, Installation
from tests.faults.crew import Crew
from tests.faults.load import Load
from tests.faults.model import LMProcess
from tests.faults.pipelines import texts
from tests.integration.lab import Lab
from tests.integration.processes import WORKER
from tests.integration.proxy import Proxy
from tests.integration.wire import Wire

SESSION_S: Final = 6
RUNNING: Final = 64

SETTINGS: Final = {
    "PENSTOCK_MAX_RUNNING": str(RUNNING),
    "PENSTOCK_SESSION_TIMEOUT_S": str(SESSION_S),
    "PENSTOCK_ROCKSDB_CACHE_BYTES": str(8 << 20),
    "PENSTOCK_ROCKSDB_WRITE_BUFFER_BYTES": str(4 << 20),
    "MALLOC_ARENA_MAX": "2",
}
"""Of all workers: little enough for faults to matter, and for caches to be full soon:
what grows after that is a leak. The last one as in the image."""

# Nothing may be cleaned away before the checker has read it.
BROKER: Final = {"log.cleaner.enable": "false"}


@dataclass(frozen=True, kw_only=True)
class Town:
    """Everything that faults happen to."""

    broker: DevBroker
    wire: Proxy
    """To the broker; workers go through it, the load and the checker do not."""
    lm: LMProcess
    lm_wire: Wire
    lab: Lab
    crew: Crew
    load: Load

    def mend(self) -> None:
        """Undo whatever faults may have left behind."""
        self.wire.mend()
        self.lm_wire.mend()
        for name in self.crew.places:
            self.wire.mend(name)
        self.lm.mend()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A broker, and the port that it believes to be its own: a wire's."""

    broker: DevBroker
    port: int


@contextlib.contextmanager
def ground(kafka: Installation) -> Iterator[Ground]:
    """Start a broker that towns can stand on, one after the other."""
    [port] = free_ports(1)
    options = BrokerOptions(proxy_port=port, properties=BROKER)
    with DevBroker.start(kafka, options) as broker:
        yield Ground(broker=broker, port=port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a town is, and what its load is like."""

    seed: int
    workers: int = 3
    per_s: float = 60.0
    """Requests a second."""
    entry: Sequence[str] = WORKER
    """What its workers are."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Settings of all workers, beside the usual ones."""


@contextlib.contextmanager
def town(below: Ground, folder: Path, size: Size) -> Iterator[Town]:
    """Build a town whose workers are at work; pull it down at the end."""
    assert below.broker.proxied_port is not None
    owner = _LateOwner()
    lm_port, wire_port = free_ports(2)
    with (
        Proxy(below.port, below.broker.proxied_port, owner) as wire,
        contextlib.closing(LMProcess(folder / "lm.log", lm_port)) as lm,
        Wire(wire_port, lm_port) as lm_wire,
        contextlib.closing(
            Lab(
                below.broker.bootstrap,
                folder,
                texts(f"http://{lm_wire.address}/v1"),
                {**SETTINGS, **size.env},
            )
        ) as lab,
    ):
        names = [f"w{number}" for number in range(size.workers)]
        with contextlib.closing(Crew(lab, wire.bootstrap, names, size.entry)) as crew:
            owner.of = crew.owner_of
            for name in names:
                crew.start(name)
            for name in names:
                crew.at(name).ready()
            yield Town(
                broker=below.broker,
                wire=wire,
                lm=lm,
                lm_wire=lm_wire,
                lab=lab,
                crew=crew,
                load=Load(lab, size.seed, size.per_s),
            )


class _LateOwner:
    """Knows the owners of connections once there is a crew."""

    def __init__(self) -> None:
        self.of: Callable[[int], str] = lambda _: ""

    def __call__(self, port: int) -> str:
        return self.of(port)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in taken:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in taken]
