"""A plain Faust agent as its documentation writes it: a table, a count for each key.

At least once, one record out. Run in Faust's own environment:
``python faust_count.py <bootstrap> <app> <requests> <results> <folder>``.
"""

import sys

import faust

bootstrap, name, requests, results, folder = sys.argv[1:]

app = faust.App(
    name,
    broker=f"kafka://{bootstrap}",
    store="rocksdb://",
    datadir=folder,
    topic_partitions=8,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
)
asked = app.topic(requests, key_type=str, key_serializer="raw", value_serializer="json")
answered = app.topic(results, value_serializer="json")
turns = app.Table("turns", default=int, partitions=8)


@app.agent(asked)
async def count(stream: faust.StreamT) -> None:
    """Count the turns of each session, and answer."""
    async for request in stream:
        session = request["session_id"]
        turns[session] += 1
        await answered.send(
            key=session,
            value={
                "request_id": request["request_id"],
                "turn": turns[session],
                "reply": request["ticket"].upper(),
            },
        )


sys.argv = [sys.argv[0], "worker", "-l", "warn", "--without-web"]
app.main()
