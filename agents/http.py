"""HTTP: probes, metrics and the embedded registry, on one port."""

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from agents.failures import EdgeError
from agents.health import Health
from agents.metrics import Metrics
from agents.registry_http import add_routes
from schemas.embedded import EmbeddedRegistry


class PortTakenError(EdgeError):
    """The port of the HTTP server belongs to somebody else."""

    code = "http.port"

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host}:{port}: {reason}; set PENSTOCK_HTTP_PORT "
            "(0 picks a free port)"
        )


class HttpServer:
    """Serves one worker's probes, metrics and registry."""

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        *,
        registry: EmbeddedRegistry | None,
        register: bool,
        measure: Callable[[], None],
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._measure = measure
        self._app = web.Application()
        self._app.router.add_get("/livez", self._livez)
        self._app.router.add_get("/readyz", self._readyz)
        self._app.router.add_get("/metrics", self._exposition)
        if registry is not None:
            add_routes(self._app, registry, register=register)
        self._runner = web.AppRunner(self._app, access_log=None)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port.

        Raises:
            PortTakenError: somebody else listens there.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise PortTakenError(host, port, error.strerror or str(error)) from error
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        problems = self._health.problems()
        return _json({"alive": not problems, "problems": problems}, ok=not problems)

    async def _readyz(self, _request: web.Request) -> web.Response:
        conditions = self._health.ready()
        ready = all(conditions.values())
        return _json({"ready": ready, "conditions": dict(conditions)}, ok=ready)

    async def _exposition(self, _request: web.Request) -> web.Response:
        self._measure()
        return web.Response(
            body=self._metrics.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )


def _json(body: Any, *, ok: bool) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=200 if ok else 503,
        content_type="application/json",
    )
