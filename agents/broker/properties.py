"""What the dev broker is told: one KRaft node, small, quick, fit for fault tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEFAULTS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "DIRECT",
    "listener.security.protocol.map": (
        "DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT"
    ),
    # One node: every internal topic has one copy.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # 50 each by default: slow to create. coordinators.py relies on eight.
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "8",
    # A topic that nobody declared is a mistake, not a topic.
    "auto.create.topics.enable": "false",
    # A group of one need not wait 3 s for others.
    "group.initial.rebalance.delay.ms": "0",
    # Fault tests use short sessions and transactions; the defaults are 6 s and 10 s.
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # A killed broker may come back once its old session is over: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # 128 MiB by default, half of our heap.
    "log.cleaner.dedupe.buffer.size": "4194304",
}

LOG4J: Final = """\
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1}: %m%n
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """How a dev broker differs from the ordinary one."""

    port: int | None = None
    """Its port; None for a free one."""
    proxy_port: int | None = None
    """Where a test's TCP proxy listens: the broker then has a second listener, which
    names that port to clients (``DevBroker.proxied_port`` is where to forward to)."""
    heap_mb: int = 256
    """Java heap. 128 does for light tests; below that nothing is gained."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Server properties that add to the defaults, or replace them."""
    ready_within_s: float = 60.0
    """Longest wait for its coordinators; 4 to 10 s is usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a broker is and where its parts listen, on 127.0.0.1; as long as its data."""

    node_id: int
    direct: int
    controller: int
    proxied: int | None = None

    @property
    def ports(self) -> tuple[int, ...]:
        every = (self.direct, self.controller, self.proxied)
        return tuple(port for port in every if port is not None)


def server_properties(folder: Path, identity: Identity, options: BrokerOptions) -> str:
    """Return ``server.properties`` for a broker that keeps its data in *folder*."""
    listeners = {"DIRECT": identity.direct, "CONTROLLER": identity.controller}
    advertised = {"DIRECT": identity.direct}
    if identity.proxied is not None and options.proxy_port is not None:
        listeners["PROXIED"] = identity.proxied
        advertised["PROXIED"] = options.proxy_port
    own = {
        "node.id": str(identity.node_id),
        "listeners": _addresses(listeners),
        "advertised.listeners": _addresses(advertised),
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{identity.controller}",
        "log.dirs": str(folder / "data"),
    }
    lines = {**DEFAULTS, **options.properties, **own}
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _addresses(listeners: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
