"""Requests: a kilobyte of text each, for a thousand sessions, in Avro or in JSON."""

import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

from benchmarks.lab import Record
from schemas.codec import PREFIX, ParsedSchema, encode, frame
from schemas.shapes import namespace_of
from streams.catalog import toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.metrics import NullRecorder
from streams.pipeline import compile_folder
from streams.plan import Pipeline

KEYS: Final = 1_000
TICKET_CHARS: Final = 950
"""With its envelope, about a kilobyte."""
TEXTS: Final = 64
TEXT: Final = (
    "the invoice of march lists a seat that we gave back in february please check "
    "whether the refund is on its way and tell us when the report opens again"
)


def tickets() -> Iterator[str]:
    """Return texts for ever, the same in every run."""
    chance = Random(7)  # noqa: S311 - texts, not keys
    words, texts = TEXT.split(), []
    for _ in range(TEXTS):
        chosen = chance.choices(words, k=TICKET_CHARS)
        texts.append(" ".join(chosen)[:TICKET_CHARS])
    while True:
        yield from texts


def json_requests(number: int) -> Iterator[Record]:
    """Return requests as the peers read them."""
    for i, ticket in zip(range(number), tickets(), strict=False):
        session = f"s{i % KEYS}"
        request = {"request_id": f"r{i}", "session_id": session, "ticket": ticket}
        yield session, json.dumps(request).encode()


def avro_requests(
    number: int, env: Mapping[str, str], *, sessions: bool = True
) -> Iterator[Record]:
    """Return requests for the worker whose environment is *env*."""
    schema = request_schema(env)
    for i, ticket in zip(range(number), tickets(), strict=False):
        session = f"s{i % KEYS}" if sessions else None
        yield session or f"r{i}", avro_request(schema, f"r{i}", session, ticket)


def bare_avro_requests(number: int, env: Mapping[str, str]) -> Iterator[Record]:
    """Return the same requests for who knows their schema without its id."""
    for key, value in avro_requests(number, env):
        yield key, value[PREFIX.size :]


def bench_schemas(env: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return penstock's Avro schemas of requests, stage records and results."""
    namespace, pipeline = _compiled(env)
    return [
        pipeline.request_schema(namespace),
        pipeline.stage_result_schema(namespace),
        pipeline.result_schema(namespace),
    ]


def avro_request(
    schema: ParsedSchema, request_id: str, session: str | None, ticket: str
) -> bytes:
    """Return the value of one request's record."""
    request = {
        "request_id": request_id,
        "session_id": session,
        "pipeline": "bench",
        "pipeline_version": None,
        "inputs": {"ticket": ticket},
        "deadline_ms": None,
        "priority": 0,
        "tenant": None,
        "mode": "NORMAL",
        "options": {},
    }
    return frame(schema.id, encode(schema, request))


def request_schema(env: Mapping[str, str]) -> ParsedSchema:
    """Return the schema that the worker with *env* registers for its requests."""
    namespace, pipeline = _compiled(env)
    return ParsedSchema.of(pipeline.request_schema(namespace))


def _compiled(env: Mapping[str, str]) -> tuple[str, Pipeline]:
    """Return the pipeline of the worker with *env*, and its schemas' namespace."""
    settings = Settings.from_env(env)
    tools = toolbox(settings, env, NullRecorder(), SystemClock())
    pipeline = compile_folder(settings.pipelines_dir, tools)["bench"]
    return namespace_of(settings.prefix, pipeline.name), pipeline
