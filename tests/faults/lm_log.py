"""The fake LM's log, read into calls."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.faults.history import Call
from tests.integration.growing_logs import whole_lines


def calls_of(log: Path) -> Sequence[Call]:
    """Return all calls in the order in which they were received."""
    calls: list[Call] = []
    open_calls: dict[int, int] = {}
    for line in whole_lines(log):
        event = json.loads(line)
        if event["event"] == "received":
            # A server that came back counts from 1 again.
            open_calls[event["call"]] = len(calls)
            calls.append(Call(name=event["request_id"], received_ms=event["at_ms"]))
            continue
        index = open_calls.pop(event["call"], None)
        if index is not None:
            heard = event["event"] == "answered"
            calls[index] = replace(
                calls[index],
                ended_ms=event["at_ms"],
                status=event["status"] if heard else None,
            )
    return calls
