"""The Avro schemas of requests, stage results and results, around a pipeline's fields.

Namespace ``<prefix>.<pipeline>``; every schema is self-contained. What may grow does so
without breaking a reader: statuses are strings that carry their ``allowed`` values (a
new enum symbol or union branch would stop old readers), each stage has an optional
field of its own, and whatever a producer may leave out has a default.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.identity import AvroSchema
from schemas.named_types import place_records
from schemas.records import EVENTS, MODES, STATUSES

AvroField = dict[str, Any]
"""A field as Avro has it: ``{"name", "type", "doc"?, "default"?}``."""

Schema = dict[str, Any]

NO_USAGE: Final = {
    "calls": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "cost_usd": None,
    "cached_calls": 0,
}


def namespace_of(prefix: str, pipeline: str) -> str:
    """Return the namespace of a pipeline's records; Avro allows letters, digits, _."""
    parts = f"{prefix}.{pipeline}".split(".")
    return ".".join(re.sub(r"\W|^(?=\d)", "_", part, flags=re.ASCII) for part in parts)


def request_schema(namespace: str, inputs: Sequence[AvroField]) -> Schema:
    """Return the schema of the requests of a pipeline that takes *inputs*."""
    return _schema(
        namespace,
        "Request",
        "One request to a pipeline. Its record key is session_id, else request_id.",
        [
            _field(
                "request_id",
                "string",
                "Yours, and unique: a second record with it is not executed.",
            ),
            _field(
                "inputs",
                _record("Inputs", "What the pipeline is given.", inputs),
                "What the pipeline is given.",
            ),
            _optional("session_id", "string", "Requests of one session are in order."),
            _field(
                "pipeline",
                "string",
                "Its name. Empty: the topic's.",
                default="",
            ),
            _optional("pipeline_version", "int", "Null: the version that runs."),
            _optional(
                "deadline_ms",
                "long",
                "Moment after which a result is pointless, epoch milliseconds.",
            ),
            _field("priority", "int", "Higher goes first.", default=0),
            _optional("tenant", "string", "Who shares slots fairly with others."),
            _field(
                "mode",
                _choice(MODES),
                "How to run it; only NORMAL is supported yet.",
                default="NORMAL",
            ),
            _field("options", _map("string"), "Reserved: hints by name.", default={}),
        ],
    )


def stage_result_schema(
    namespace: str, stages: Mapping[str, Sequence[AvroField]]
) -> Schema:
    """Return the schema of what *stages* (name: output fields) leave behind."""
    outputs = [
        _optional(
            stage,
            # A namespace of their own: a stage may be called Error or Usage.
            _record(
                stage,
                f"Outputs of stage {stage}.",
                fields,
                namespace=f"{namespace}.stages",
            ),
            f"Set in the records of stage {stage}.",
        )
        for stage, fields in stages.items()
    ]
    return _schema(
        namespace,
        "StageResult",
        "What one stage of a request left behind.",
        [
            *_identity(),
            _field("stage", "string", "Name of the stage."),
            _field("status", _choice(STATUSES), "How it ended."),
            _field("sequence", "int", "Counts the request's stage records from 1."),
            _replay(),
            _optional(
                "outputs",
                _record("StageOutputs", "One field a stage; one is set.", outputs),
                "What the stage made; null if it failed.",
            ),
            _error(),
            _usage(),
            _field("started_ms", "long", "Epoch milliseconds.", default=0),
            _field("duration_ms", "long", "Milliseconds, retries included.", default=0),
            _field("attempts", "int", "Answers it took, from 1.", default=1),
            _field("version", "string", "Its program@fingerprint.", default=""),
            _source(),
            _field(
                "path",
                "string",
                "Where in the flow: map.1/17/sum_up is in element 17 of its first map.",
                default="",
            ),
            _field(
                "event",
                _choice(EVENTS),
                "What this record reports; more than finished if the pipeline says so.",
                default="finished",
            ),
            _optional("percent", "int", "With event percent: how much of path ended."),
        ],
    )


def result_schema(namespace: str, outputs: Sequence[AvroField]) -> Schema:
    """Return the schema of the results of a pipeline that makes *outputs*."""
    return _schema(
        namespace,
        "Result",
        "The answer to a request: every request gets exactly one.",
        [
            *_identity(),
            _field("status", _choice(STATUSES), "How the request ended."),
            _optional("turn", "int", "Counts the results of the session from 1."),
            _replay(),
            _optional(
                "outputs",
                _record("Outputs", "What the pipeline made.", outputs),
                "What the pipeline made; null if there is an error and no answer.",
            ),
            _error(),
            _usage(),
            _field(
                "timings",
                _record(
                    "Timings",
                    "Where the time went, in milliseconds.",
                    [
                        _field("queued_ms", "long", "Until the run began.", default=0),
                        _field("running_ms", "long", "Of the run.", default=0),
                        _field("stages", _map("long"), "By stage.", default={}),
                    ],
                ),
                "Where the time went.",
                default={"queued_ms": 0, "running_ms": 0, "stages": {}},
            ),
            _field(
                "versions",
                _map("string"),
                "program@fingerprint by stage.",
                default={},
            ),
            _source(),
            _field("sequence", "int", "Of its last stage record, else 0.", default=0),
        ],
    )


def or_null(field: AvroField) -> AvroField:
    """Return *field* as it is where its value may be missing: null, too."""
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    if "null" in kinds:
        return field
    if "default" in field:
        # The default of a union has to be of its first type.
        return {**field, "type": [*kinds, "null"]}
    return {**field, "type": ["null", *kinds], "default": None}


def _identity() -> list[AvroField]:
    return [
        _field("request_id", "string", "Of the request."),
        _optional("session_id", "string", "Of the request."),
        _field("pipeline", "string", "Its name."),
        _field("pipeline_version", "int", "The version that ran."),
    ]


def _replay() -> AvroField:
    doc = "0, or how often the request was offered again."
    return _field("replay", "int", doc, default=0)


def _error() -> AvroField:
    error = _record(
        "Error",
        "Why there is no, or no complete, answer.",
        [
            _field("code", "string", "Stable and dotted, such as stage.timeout."),
            _field("message", "string", "For people; may change.", default=""),
            _optional("stage", "string", "The stage that failed."),
            _optional("field", "string", "The field that is wrong."),
            _field("retryable", "boolean", "Asking again may help.", default=False),
            _optional("hint", "string", "What to do about it."),
            _optional("cause", "string", "The error below this one."),
        ],
    )
    return _optional("error", error, "Null if all went well.")


def _usage() -> AvroField:
    usage = _record(
        "Usage",
        "What the LM calls cost.",
        [
            _field("calls", "int", "Calls that an LM answered.", default=0),
            _field("input_tokens", "long", "Sum over the calls.", default=0),
            _field("output_tokens", "long", "Sum over the calls.", default=0),
            _optional("cost_usd", "double", "Null where no price is known."),
            _field("cached_calls", "int", "Calls that were paid before.", default=0),
        ],
    )
    return _field("usage", usage, "What the LM calls cost.", default=dict(NO_USAGE))


def _source() -> AvroField:
    source = _record(
        "Source",
        "A position in Kafka.",
        [
            _field("topic", "string", "Name of the topic."),
            _field("partition", "int", "From 0."),
            _field("offset", "long", "From 0."),
        ],
    )
    return _optional("source", source, "Where the request came from at first.")


def _record(
    name: str, doc: str, fields: Sequence[AvroField], *, namespace: str | None = None
) -> Schema:
    record: Schema = {"type": "record", "name": name, "doc": doc}
    if namespace is not None:
        record["namespace"] = namespace
    return record | {"fields": list(fields)}


def _schema(namespace: str, name: str, doc: str, fields: Sequence[AvroField]) -> Schema:
    """Return the record that is a whole schema."""
    return place_records(_record(name, doc, fields, namespace=namespace), namespace)


def _field(name: str, avro_type: AvroSchema, doc: str, **default: object) -> AvroField:
    return {"name": name, "type": avro_type, "doc": doc, **default}


def _optional(name: str, avro_type: AvroSchema, doc: str) -> AvroField:
    return _field(name, ["null", avro_type], doc, default=None)


def _choice(allowed: Sequence[str]) -> Schema:
    return {"type": "string", "allowed": list(allowed)}


def _map(values: str) -> Schema:
    return {"type": "map", "values": values}
