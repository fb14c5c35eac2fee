"""Asks a broker whether its coordinators are up: an open port is not a ready broker."""

import socket
import struct
from typing import Final

FIND_COORDINATOR: Final = 10
VERSION: Final = 1
GROUP: Final = 0
TRANSACTION: Final = 1
# The coordinators of a key sit on partition hashCode(key) % 8 of their topics (we
# give both 8): these eight keys reach all of them, so all are created and led.
KEYS: Final = tuple("01234567")
ASK_TIMEOUT_S: Final = 2.0


def coordinators_answer(port: int, node_id: int) -> bool:
    """Whether every coordinator on *port* is up and is the broker *node_id*.

    The id tells our broker from a stranger that took the port first.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), ASK_TIMEOUT_S) as link:
            return all(
                _ask(link, key, kind) == (0, node_id)
                for kind in (GROUP, TRANSACTION)
                for key in KEYS
            )
    except (OSError, struct.error):
        return False


def _ask(link: socket.socket, key: str, kind: int) -> tuple[int, int]:
    """Send FindCoordinator; return its error code and the node it names."""
    name = key.encode()
    head = struct.pack(">hhih", FIND_COORDINATOR, VERSION, 1, -1)  # no client id
    body = struct.pack(">h", len(name)) + name + struct.pack(">b", kind)
    link.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
    (size,) = struct.unpack(">i", _read(link, 4))
    reply = _read(link, size)
    # correlation id, throttle time, error code, then a nullable message
    _id, _throttle, error, length = struct.unpack_from(">iihh", reply)
    (node,) = struct.unpack_from(">i", reply, 12 + max(length, 0))
    return error, node


def _read(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data
