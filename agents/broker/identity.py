"""Chooses who a new broker is: an id of its own and ports that nobody uses."""

import secrets
import socket
from contextlib import ExitStack
from typing import Final

from agents.broker.properties import BrokerOptions, Identity

IDS: Final = 1_000_000


def free_identity(options: BrokerOptions) -> Identity:
    """Return an identity for a new broker, on free ports where *options* name none."""
    direct, controller, proxied = _free_ports(3)
    return Identity(
        # Random, so that two brokers that fight for a port can be told apart.
        node_id=secrets.randbelow(IDS) + 1,
        direct=options.port or direct,
        controller=controller,
        proxied=proxied if options.proxy_port else None,
    )


def is_free(port: int) -> bool:
    """Whether a server could listen on *port* now."""
    with socket.socket() as probe:
        # As Kafka does: connections that are winding down are not in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        # All open at once: closing one first could hand out its number again.
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
