"""A server for ``http`` stages: it runs on a thread, and has no weather for some."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit


class Town:
    """Answers ``/weather`` and ``/facts``; 404 to a ticket that says ``no-<what>``."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def host(self) -> str:
        """What ``PENSTOCK_HTTP_HOSTS`` calls it."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        what, [ticket] = asked.path[1:], parse_qs(asked.query)["ticket"]
        if f"no-{what}" in ticket:
            self._say(404, b"")
        elif what == "facts":
            self._say(200, json.dumps(ticket.split()).encode())
        else:
            self._say(200, f"fine for {ticket}".encode())

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""
