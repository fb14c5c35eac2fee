"""The state benchmark in Quix Streams with exactly-once and the records of penstock.

As quix_count.py, but requests, stage records and results are Avro with penstock's own
schemas, every field of them filled as penstock fills it. Run in the environment of
Quix Streams: ``python quix_same.py <bootstrap> <group> <requests> <stages> <results>
<folder> <commit interval in s> <file with the three schemas>``.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from quixstreams import Application, State, message_context
from quixstreams.models.serializers.avro import AvroDeserializer, AvroSerializer

bootstrap, group, requests, stages, results, folder, interval_s, schemas = sys.argv[1:]
read, stage_schema, result_schema = json.loads(Path(schemas).read_text())

VERSION = "bench_stages:answer@5d41402abc4b2a76"

app = Application(
    broker_address=bootstrap,
    consumer_group=group,
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    state_dir=folder,
    commit_interval=float(interval_s),
    loglevel="WARNING",
)


def now_ms() -> int:
    """Return the wall clock's epoch milliseconds."""
    return time.time_ns() // 1_000_000


def answer(
    request: dict[str, Any], _key: str, asked_ms: int, _headers: object, state: State
) -> dict[str, Any] | None:
    """Count the turn, remember the id; None for a request that was answered."""
    seen = f"seen:{request['request_id']}"
    if state.get(seen):
        return None
    began_ms = now_ms()
    turn = state.get("turns", 0) + 1
    state.set("turns", turn)
    state.set(seen, began_ms)
    at = message_context()
    took_ms = now_ms() - began_ms
    return {
        "request_id": request["request_id"],
        "session_id": request["session_id"],
        "pipeline": request["pipeline"],
        "pipeline_version": 1,
        "status": "OK",
        "turn": turn,
        "outputs": {"reply": request["inputs"]["ticket"].upper()},
        "usage": {},
        "timings": {
            "queued_ms": began_ms - asked_ms,
            "running_ms": took_ms,
            "stages": {"answer": took_ms},
        },
        "versions": {"answer": VERSION},
        "source": {
            "topic": at.topic,
            "partition": at.partition,
            "offset": at.offset,
        },
    }


def as_stage(result: dict[str, Any]) -> dict[str, Any]:
    """Return the stage record of *result*."""
    return {
        "request_id": result["request_id"],
        "session_id": result["session_id"],
        "pipeline": result["pipeline"],
        "pipeline_version": 1,
        "stage": "answer",
        "status": "OK",
        "sequence": 1,
        "outputs": {"answer": result["outputs"]},
        "usage": {},
        "started_ms": now_ms(),
        "duration_ms": result["timings"]["running_ms"],
        "version": VERSION,
        "source": result["source"],
    }


asked = app.topic(
    requests, key_deserializer="str", value_deserializer=AvroDeserializer(read)
)
stage_topic = app.topic(
    stages, key_serializer="str", value_serializer=AvroSerializer(stage_schema)
)
result_topic = app.topic(
    results, key_serializer="str", value_serializer=AvroSerializer(result_schema)
)

frame = app.dataframe(asked).apply(answer, stateful=True, metadata=True)
frame = frame.filter(lambda result: result is not None)
frame.apply(as_stage).to_topic(stage_topic)
frame.to_topic(result_topic)
app.run()
