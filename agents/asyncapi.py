"""AsyncAPI: an app's topics, records and headers as one AsyncAPI 3.0 document.

Written for those who send requests and read results. The topics of pipelines are in
it; changelogs and the schemas topic are the app's own business.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from agents.record import ORIGIN, REPLAY
from agents.topics import TopicSpec, wanted
from schemas.shapes import namespace_of
from streams.config import Settings
from streams.plan import Pipeline

AVRO: Final = "application/vnd.apache.avro;version=1.9.0"
BINDING: Final = "0.5.0"
PLACEHOLDER: Final = "localhost:9092"
"""The server where none is configured."""

Part = dict[str, Any]

MESSAGES: Final[Mapping[str, tuple[str, str]]] = {
    "requests": ("Request", "One request. Its id is executed once."),
    "stages": ("StageResult", "What one stage of a request left behind."),
    "results": ("Result", "The answer: every request gets exactly one."),
    "dlq": ("DeadLetter", "A record set aside as it was; headers say why."),
}
"""Role of a topic: the message on it, and what that is. No record of a role that is
missing here is ever published."""

ECHOED: Final[Part] = {
    "correlation-id": {"type": "string", "description": "Yours; its results carry it."},
    "traceparent": {"type": "string", "description": "W3C trace context."},
    "tracestate": {"type": "string", "description": "W3C trace context."},
}
REASONS: Final[Part] = {
    "__dlq.errors.topic": {"type": "string", "description": "Where it lay."},
    "__dlq.errors.partition": {"type": "string", "description": "Where it lay."},
    "__dlq.errors.offset": {"type": "string", "description": "Where it lay."},
    "__dlq.errors.group": {"type": "string", "description": "Who set it aside."},
    "__dlq.errors.delivery.count": {"type": "string", "description": "Always 1."},
    "__dlq.errors.message": {"type": "string", "description": "Why, for people."},
    "x-penstock-code": {"type": "string", "description": "Why, stable and dotted."},
    "x-penstock-timestamp": {"type": "string", "description": "Its own, in ms."},
}
OFFERED: Final[Part] = {
    REPLAY: {"type": "string", "description": "Set by `penstock dlq replay`."},
    ORIGIN: {"type": "string", "description": "Set by a worker that sent it home."},
}

HEADERS: Final[Mapping[str, Part]] = {
    "requests": ECHOED | OFFERED,
    "stages": ECHOED,
    "results": ECHOED,
    "dlq": ECHOED | OFFERED | REASONS,
}


def asyncapi(settings: Settings, pipelines: Mapping[str, Pipeline]) -> Part:
    """Return the document of the app that runs *pipelines*."""
    specs = {
        (name, spec.shape.role): spec
        for name in sorted(pipelines)
        for spec in wanted(settings, [name])
        if spec.shape.scope == "pipeline" and spec.shape.role in MESSAGES
    }
    return {
        "asyncapi": "3.0.0",
        "info": _info(settings, pipelines),
        "defaultContentType": "application/avro",
        "servers": dict(_servers(settings)),
        "channels": {f"{n}.{r}": _channel(n, s) for (n, r), s in specs.items()},
        "operations": {f"{n}.{r}": _operation(n, r, settings.group) for n, r in specs},
        "components": {
            "messages": {
                f"{n}.{r}": _message(pipelines[n], r, settings.prefix) for n, r in specs
            }
        },
    }


def _info(settings: Settings, pipelines: Mapping[str, Pipeline]) -> Part:
    versions = sorted((p.name, p.version) for p in pipelines.values())
    return {
        "title": settings.group,
        "version": ", ".join(f"{name}@{version}" for name, version in versions),
        "description": "Send a request; read its result, which has the same key.",
    }


def _servers(settings: Settings) -> Iterator[tuple[str, Part]]:
    hosts = [each.strip() for each in settings.bootstrap.split(",") if each.strip()]
    for index, host in enumerate(hosts or [PLACEHOLDER], 1):
        server: Part = {"host": host, "protocol": "kafka"}
        if settings.registry_url:
            server["bindings"] = {"kafka": _registry(settings.registry_url)}
        yield f"kafka-{index}", server


def _registry(url: str) -> Part:
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return {
        "schemaRegistryUrl": urlunsplit(bare),
        "schemaRegistryVendor": "confluent",
        "bindingVersion": BINDING,
    }


def _channel(pipeline: str, spec: TopicSpec) -> Part:
    role = spec.shape.role
    config: Part = {"cleanup.policy": spec.shape.cleanup.split(",")}
    for name in ("retention.ms", "max.message.bytes"):
        if name in spec.config:
            config[name] = int(spec.config[name])
    binding = {
        "topic": spec.name,
        "partitions": spec.partitions,
        "replicas": spec.replication,
        "topicConfiguration": config,
        "bindingVersion": BINDING,
    }
    reference = {"$ref": f"#/components/messages/{pipeline}.{role}"}
    return {
        "address": spec.name,
        "messages": {MESSAGES[role][0]: reference},
        "bindings": {"kafka": binding},
    }


def _operation(pipeline: str, role: str, group: str) -> Part:
    """Return what the app does there: it receives requests, and sends the rest."""
    made = {
        "action": "receive" if role == "requests" else "send",
        "channel": {"$ref": f"#/channels/{pipeline}.{role}"},
        "summary": MESSAGES[role][1],
    }
    if role != "requests":
        return made
    reader = {"type": "string", "enum": [group]}
    return made | {
        "bindings": {"kafka": {"groupId": reader, "bindingVersion": BINDING}},
        "reply": {"channel": {"$ref": f"#/channels/{pipeline}.results"}},
    }


def _message(pipeline: Pipeline, role: str, prefix: str) -> Part:
    name, summary = MESSAGES[role]
    made: Part = {
        "name": f"{namespace_of(prefix, pipeline.name)}.{name}",
        "title": f"{name} of {pipeline.name}",
        "summary": summary,
        "headers": {"type": "object", "properties": HEADERS[role]},
        "correlationId": {"location": "$message.header#/correlation-id"},
        "bindings": {"kafka": _key(role)},
    }
    schema = _schema(pipeline, role, prefix)
    if schema is None:
        # Whatever came in, unchanged: it may be no Avro at all.
        return made | {"contentType": "application/octet-stream"}
    return made | {
        "contentType": "application/avro",
        "payload": {"schemaFormat": AVRO, "schema": schema},
    }


def _schema(pipeline: Pipeline, role: str, prefix: str) -> Part | None:
    namespace = namespace_of(prefix, pipeline.name)
    match role:
        case "requests":
            return pipeline.request_schema(namespace)
        case "stages":
            return pipeline.stage_result_schema(namespace)
        case "results":
            return pipeline.result_schema(namespace)
        case _:
            return None


def _key(role: str) -> Part:
    said = "The session id, else the request id, in UTF-8."
    if role == "dlq":
        return {"key": {"description": "As it was."}, "bindingVersion": BINDING}
    return {
        "key": {"type": "string", "description": said},
        # Confluent's wire format: 0x00 and four bytes in front of the Avro body.
        "schemaIdLocation": "payload",
        "schemaIdPayloadEncoding": "confluent",
        "schemaLookupStrategy": "TopicNameStrategy",
        "bindingVersion": BINDING,
    }
