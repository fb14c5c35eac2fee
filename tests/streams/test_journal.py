"""Journal entries: each has a key, a stored form that comes back, and a place."""

import pytest
from msgspec.structs import replace

from schemas.records import ErrorInfo, Usage
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

HEADER = RunHeader(
    pipeline_version=2, fingerprint="f", started_ms=3, attempt=4, sequence=5
)
STAGE = StageEntry(
    site="map.1/3/draft",
    sequence=1,
    version="reason@1",
    fingerprint="f",
    outputs={"reply": "héllo", "scores": [1, 2.5, None]},
    usage=Usage(calls=1, input_tokens=2, output_tokens=3, cost_usd=0.5, cached_calls=4),
    started_ms=5,
    duration_ms=6,
    attempts=7,
)
FAILED = replace(
    STAGE,
    outputs={},
    error=ErrorInfo(
        code="stage.timeout", message="late", stage="draft", retryable=True
    ),
)
CALL = CallEntry(site="draft/0", ordinal=2, digest="d", text="t", usage=Usage(calls=1))


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (HEADER, "h"),
        (STAGE, "s/map.1/3/draft"),
        (FAILED, "s/map.1/3/draft"),
        (CALL, "c/draft/0/2"),
    ],
)
def test_each_entry_has_its_key_and_comes_back(entry, key):
    assert entry_key(entry) == key
    assert unpack(pack(entry)) == entry


def test_a_journal_has_its_entries_in_their_places():
    assert Journal.of((CALL, HEADER, STAGE)) == Journal(
        header=HEADER,
        stages={"map.1/3/draft": STAGE},
        calls={("draft/0", 2): CALL},
    )
    assert Journal.of(()) == Journal()


def test_the_last_sequence_is_that_of_the_header_or_of_an_entry():
    assert Journal.of(()).sequence == 0
    assert Journal.of((HEADER, STAGE)).sequence == 5
    assert (
        Journal.of((HEADER, STAGE, replace(STAGE, site="x", sequence=9))).sequence == 9
    )


def test_entries_of_the_first_format_are_read():
    assert unpack(b'\x01["h",2,"f",3,4]') == replace(HEADER, sequence=0)
    stored = b'\x01["s","draft",1,"v","f",{"a":1},[1,0,0,null,0],5,6,7]'
    entry = unpack(stored)
    assert (entry.site, entry.outputs, entry.error) == ("draft", {"a": 1}, None)
    assert unpack(b'\x01["c","draft/0",2,"d","t",[1,0,0,null,0]]') == CALL


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"\x03[]", "stored in format b'\\x03'"),
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
