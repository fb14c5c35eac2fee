"""How long Faust reads a table back; says so in a line of JSON.

Run in Faust's own environment: ``python faust_recovery.py <bootstrap> <app> <requests>
<records> <folder>``.
"""

import json
import os
import sys
import threading
import time

import faust

bootstrap, name, requests, records, folder = sys.argv[1:]

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
sessions = app.Table("sessions", partitions=8)


@app.agent(asked)
async def count(stream: faust.StreamT) -> None:
    """Write the table, so that Faust has a reason to keep it."""
    async for request in stream:
        sessions[request["session_id"]] = request


def look() -> None:
    """Time the way from the first record that was read to the last."""
    before_s, began_s = 0.0, 0.0
    while True:
        # What is not there yet must not be asked for: it would be made too early.
        tables = vars(app).get("tables")
        recovery = tables and tables._recovery  # noqa: SLF001 - nothing public tells
        offsets = dict(recovery.active_offsets) if recovery else {}
        # A partition that was not read yet stands at None, then at -1.
        read = sum(o + 1 for o in offsets.values() if o is not None)
        now_s = time.perf_counter()
        if read and not began_s:
            began_s = before_s
        if read >= int(records):
            break
        before_s = now_s
        time.sleep(0.02)
    event = {"event": "restored", "records": read, "seconds": now_s - began_s}
    # A line of its own, past Faust's spinner and what it made of sys.stdout.
    os.write(1, f"\n{json.dumps(event)}\n".encode())


threading.Thread(target=look, daemon=True).start()
sys.argv = [sys.argv[0], "worker", "-l", "warn", "--without-web"]
app.main()
