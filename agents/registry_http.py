"""The embedded registry over HTTP: what Confluent's clients and serializers call.

Reads, lookups, compatibility checks, and registration where it is switched on. Error
bodies are Confluent's, ``{"error_code", "message"}``: clients decide by the code, and
take a 404 on a route that is not here (``/associations/...``) as "no such feature".
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from schemas.compatibility import DEFAULT_LEVEL, level_of
from schemas.embedded import EmbeddedRegistry
from schemas.errors import (
    IncompatibleSchemaError,
    InvalidSchemaError,
    RegistryUnavailableError,
    SchemaError,
    SchemaIdCollisionError,
    UnknownSchemaError,
)
from schemas.registry import Registered, Registration

Handler = Callable[[web.Request], Awaitable[web.Response]]

CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"

MAX_BODY_BYTES: Final = 262_144
"""A schema is checked on the worker's event loop: this bounds the pause (0.1 s)."""

VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")

NO_SUBJECT: Final = 40401
NO_VERSION: Final = 40402
NO_SCHEMA: Final = 40403
BAD_SCHEMA: Final = 42201
BAD_VERSION: Final = 42202
SWITCHED_OFF: Final = 40301

ANSWERS: Final[Mapping[type[SchemaError], tuple[int, int]]] = {
    IncompatibleSchemaError: (409, 409),
    InvalidSchemaError: (422, BAD_SCHEMA),
    RegistryUnavailableError: (503, 50301),
    SchemaIdCollisionError: (409, 409),
    UnknownSchemaError: (404, NO_SCHEMA),
}
"""HTTP status and Confluent's error code."""


def add_routes(
    app: web.Application, registry: EmbeddedRegistry, *, register: bool
) -> None:
    """Serve *registry* on *app*; *register* says whether clients may add schemas."""
    routes = _Routes(registry=registry, register=register)
    subject, one = "/subjects/{subject}", "/versions/{version}"
    check = f"/compatibility{subject}/versions"
    get: Mapping[str, Handler] = {
        "/schemas/types": routes.types,
        r"/schemas/ids/{id:\d{1,10}}": routes.schema,
        r"/schemas/ids/{id:\d{1,10}}/versions": routes.uses,
        r"/schemas/ids/{id:\d{1,10}}/subjects": routes.users,
        "/schemas/guids/{guid}": routes.schema_by_guid,
        "/subjects": routes.subjects,
        f"{subject}/versions": routes.versions,
        subject + one: routes.version,
        "/config": routes.config,
        "/config/{subject}": routes.config_of,
    }
    post: Mapping[str, Handler] = {
        subject: routes.lookup,
        f"{subject}/versions": routes.enter,
        check: routes.compatible,
        check + "/{version}": routes.compatible,
    }
    for path, handler in get.items():
        app.router.add_get(path, _answering(handler))
    for path, handler in post.items():
        app.router.add_post(path, _answering(handler))
    # aiohttp tries longer fixed parts first, so this hides no other route.
    app.router.add_route("*", "/{rest:.*}", _nothing_here)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Routes:
    registry: EmbeddedRegistry
    register: bool

    async def types(self, _: web.Request) -> web.Response:
        return _json(["AVRO"])

    async def schema(self, request: web.Request) -> web.Response:
        text = await self.registry.by_id(int(request.match_info["id"]))
        return _json({"schema": text})

    async def schema_by_guid(self, request: web.Request) -> web.Response:
        text = await self.registry.by_id(request.match_info["guid"])
        return _json({"schema": text})

    async def uses(self, request: web.Request) -> web.Response:
        found = await self._uses(request)
        return _json([{"subject": r.subject, "version": r.version} for r in found])

    async def users(self, request: web.Request) -> web.Response:
        return _json([r.subject for r in await self._uses(request)])

    async def subjects(self, _: web.Request) -> web.Response:
        return _json(self.registry.subjects.subjects())

    async def versions(self, request: web.Request) -> web.Response:
        return _json([r.version for r in await self._held(request)])

    async def version(self, request: web.Request) -> web.Response:
        return _json(_registered(_pick(request, await self._held(request))))

    async def lookup(self, request: web.Request) -> web.Response:
        schema = await _schema_in(request)
        await self._held(request)
        found = self.registry.subjects.lookup(request.match_info["subject"], schema)
        if found is None:
            raise _RefusedError(404, NO_SCHEMA, "schema not found")
        return _json(_registered(found))

    async def enter(self, request: web.Request) -> web.Response:
        subject, schema = request.match_info["subject"], await _schema_in(request)
        known: Registered | Registration | None
        known = self.registry.subjects.lookup(subject, schema)
        if known is None and not self.register:
            raise _RefusedError(403, SWITCHED_OFF, "schemas are not registered here")
        if known is None:
            known = await self.registry.registration(subject, schema)
        return _json({"id": known.id, "version": known.version})

    async def compatible(self, request: web.Request) -> web.Response:
        subject, schema = request.match_info["subject"], await _schema_in(request)
        if "version" in request.match_info:
            against = [_pick(request, await self._held(request))]
        else:
            against = list(self.registry.subjects.versions(subject))
        problems = self.registry.subjects.problems(subject, schema, against)
        return _json({"is_compatible": not problems, "messages": problems})

    async def config(self, _: web.Request) -> web.Response:
        return _json({"compatibilityLevel": DEFAULT_LEVEL})

    async def config_of(self, request: web.Request) -> web.Response:
        level = level_of(request.match_info["subject"])
        return _json({"compatibilityLevel": level})

    async def _uses(self, request: web.Request) -> tuple[Registered, ...]:
        known = int(request.match_info["id"])
        await self.registry.by_id(known)
        return self.registry.subjects.uses(known)

    async def _held(self, request: web.Request) -> tuple[Registered, ...]:
        subject = request.match_info["subject"]
        held = self.registry.subjects.versions(subject)
        if not held:
            await self.registry.refresh()
            held = self.registry.subjects.versions(subject)
        if not held:
            raise _RefusedError(404, NO_SUBJECT, f"subject {subject} not found")
        return held


class _RefusedError(Exception):
    """A request that gets an answer other than 200."""

    def __init__(self, status: int, error_code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code


def _answering(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except _RefusedError as refused:
            return _problem(refused.status, refused.error_code, refused)
        except SchemaError as error:
            return _problem(*ANSWERS[type(error)], error)

    return answer


async def _nothing_here(request: web.Request) -> web.Response:
    return _problem(404, 404, f"{request.method} {request.path} is not served here")


async def _schema_in(request: web.Request) -> str:
    """Return the schema that a client sent, which may be none."""
    body = b""
    async for chunk in request.content.iter_chunked(65_536):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _RefusedError(413, 413, f"more than {MAX_BODY_BYTES} bytes")
    try:
        sent = orjson.loads(body)
    except ValueError as error:
        raise InvalidSchemaError(reason=f"not JSON: {error}") from error
    if not isinstance(sent, dict) or not isinstance(sent.get("schema"), str):
        raise InvalidSchemaError(reason='the body is not {"schema": "<text>"}')
    if sent.get("schemaType") not in (None, "AVRO") or sent.get("references"):
        raise InvalidSchemaError(reason="Avro without references is taken only")
    return str(sent["schema"])


def _pick(request: web.Request, held: Sequence[Registered]) -> Registered:
    wanted = request.match_info["version"]
    if wanted in ("latest", "-1"):
        return held[-1]
    if not VERSION.fullmatch(wanted):
        raise _RefusedError(422, BAD_VERSION, f"{wanted} is no version")
    for registered in held:
        if registered.version == int(wanted):
            return registered
    raise _RefusedError(404, NO_VERSION, f"version {wanted} not found")


def _registered(registered: Registered) -> dict[str, Any]:
    return {
        "subject": registered.subject,
        "version": registered.version,
        "id": registered.id,
        "guid": registered.schema.guid,
        "schema": registered.text,
    }


def _problem(status: int, error_code: int, message: object) -> web.Response:
    body = {"error_code": error_code, "message": str(message)}
    return _json(body, status=status)


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, content_type=CONTENT_TYPE
    )
