"""Journal entries: each has a key, a stored form that comes back, and a place."""

import pytest

from schemas.records import Usage
from streams.errors import StateError
from streams.journal import (
    CallEntry,
    Journal,
    RunHeader,
    StageEntry,
    entry_key,
    pack,
    unpack,
)

HEADER = RunHeader(pipeline_version=2, fingerprint="f", started_ms=3, attempt=4)
STAGE = StageEntry(
    stage="draft",
    sequence=1,
    version="reason@1",
    fingerprint="f",
    outputs={"reply": "héllo", "scores": [1, 2.5, None]},
    usage=Usage(calls=1, input_tokens=2, output_tokens=3, cost_usd=0.5, cached_calls=4),
    started_ms=5,
    duration_ms=6,
    attempts=7,
)
CALL = CallEntry(stage="draft", ordinal=2, digest="d", text="t", usage=Usage(calls=1))


@pytest.mark.parametrize(
    ("entry", "key"), [(HEADER, "h"), (STAGE, "s/draft"), (CALL, "c/draft/2")]
)
def test_each_entry_has_its_key_and_comes_back(entry, key):
    assert entry_key(entry) == key
    assert unpack(pack(entry)) == entry


def test_a_journal_has_its_entries_in_their_places():
    assert Journal.of((CALL, HEADER, STAGE)) == Journal(
        header=HEADER, stages={"draft": STAGE}, calls={("draft", 2): CALL}
    )
    assert Journal.of(()) == Journal()


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"\x02[]", "stored in format b'\\x02'"),
        (b"\x01nope", "damaged"),
        (b"\x01[]", "damaged"),
        (b'\x01["x",1]', "damaged"),
        (b'\x01["h",1]', "damaged"),
        (b'\x01["s",1,2,3,4,5,[0,0,0,null,0],6]', "damaged"),
        (b'\x01["c",1,2,3,4,[1]]', "damaged"),
    ],
)
def test_what_cannot_be_read_is_a_state_error(stored, reason):
    with pytest.raises(StateError, match="journal entry: " + reason.replace("\\", ".")):
        unpack(stored)
