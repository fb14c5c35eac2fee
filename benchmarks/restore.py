"""Restore: how fast a worker without state reads its sessions back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.contenders import HERE, STATE, Penstock
from benchmarks.lab import Lab, LabError, Record, Start, events
from benchmarks.measuring import Figures
from benchmarks.requests import tickets
from streams.session import Session, Turn

RECORD_CHARS: Final = 120
LOOK_EVERY_S: Final = 0.2
WITHIN_S: Final = 180.0


def our_restore(lab: Lab, keys: int) -> Figures:
    """Return how fast penstock restores a changelog of *keys* sessions."""
    start = Penstock(pipelines=STATE).start(lab)
    prefix = start.env["PENSTOCK_PREFIX"]
    lab.fill(f"{prefix}-main-sessions-changelog", _sessions(keys))
    return _timed(lab, prefix, start, "tasks.restored", keys)


def faust_restore(lab: Lab, keys: int, python: Path) -> Figures:
    """Return how fast Faust recovers a table of as many keys, values as large."""
    app = lab.fresh("faust")
    lab.make_topics(f"{app}.requests")
    lab.make_topics(f"{app}-sessions-changelog", compact=True)
    records = ((json.dumps(key), value[1:]) for key, value in _sessions(keys))
    lab.fill(f"{app}-sessions-changelog", records)
    script, folder = HERE / "peers" / "faust_recovery.py", lab.folder / app
    start = Start(
        command=(
            *(str(python), str(script), lab.bootstrap, app, f"{app}.requests"),
            *(str(keys), str(folder)),
        ),
        requests="",
        results="",
    )
    return _timed(lab, app, start, "restored", keys)


def _timed(lab: Lab, name: str, start: Start, event: str, keys: int) -> Figures:
    with lab.running(name, start) as running:
        for _ in range(round(WITHIN_S / LOOK_EVERY_S)):
            running.require_alive()
            found = events(running.log, event)
            if found:
                break
            time.sleep(LOOK_EVERY_S)
        else:
            reason = f"nothing restored within {WITHIN_S:g} s"
            raise LabError(reason)
    lab.remove_topics(name)
    records, seconds = float(str(found[0]["records"])), float(str(found[0]["seconds"]))
    if records < keys:
        reason = f"restored {records:g} of {keys} records"
        raise LabError(reason)
    return Figures(values={"records_per_s": records / seconds, "seconds": seconds})


def _sessions(keys: int) -> Iterator[Record]:
    for i, ticket in zip(range(keys), tickets(), strict=False):
        fields = {"ticket": ticket[:RECORD_CHARS]}
        turn = Turn(pipeline="bench", request_id=f"r{i}", at_ms=i, fields=fields)
        session = Session(session_id=f"s{i}", turns=1, updated_ms=i, history=(turn,))
        yield session.session_id, session.pack()
