"""The work of the state benchmark, in Quix Streams with exactly-once.

A count for each session and a record of the request id in one state store, a stage
record and a result out. Run in the environment of Quix Streams: ``python quix_count.py
<bootstrap> <group> <requests> <stages> <results> <folder> <commit interval in s>``.
"""

import sys
from typing import Any

from quixstreams import Application, State

bootstrap, group, requests, stages, results, folder, interval_s = sys.argv[1:]

app = Application(
    broker_address=bootstrap,
    consumer_group=group,
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    state_dir=folder,
    commit_interval=float(interval_s),
    loglevel="WARNING",
)


def answer(request: dict[str, Any], state: State) -> dict[str, Any] | None:
    """Count the turn, remember the id; None for a request that was answered."""
    seen = f"seen:{request['request_id']}"
    if state.get(seen):
        return None
    turn = state.get("turns", 0) + 1
    state.set("turns", turn)
    state.set(seen, 1)
    return {
        "request_id": request["request_id"],
        "session_id": request["session_id"],
        "turn": turn,
        "reply": request["ticket"].upper(),
    }


def as_stage(result: dict[str, Any]) -> dict[str, Any]:
    """Return the stage record of *result*."""
    return {
        "request_id": result["request_id"],
        "stage": "answer",
        "outputs": {"reply": result["reply"]},
    }


asked = app.topic(requests, key_deserializer="str", value_deserializer="json")
stage_topic = app.topic(stages, key_serializer="str", value_serializer="json")
result_topic = app.topic(results, key_serializer="str", value_serializer="json")

frame = app.dataframe(asked).apply(answer, stateful=True)
frame = frame.filter(lambda result: result is not None)
frame.apply(as_stage).to_topic(stage_topic)
frame.to_topic(result_topic)
app.run()
