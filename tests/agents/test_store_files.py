"""A store's files, read beside their worker: all of it, one moment, and no trace."""

import base64
from pathlib import Path

import orjson
import pytest

from agents.__main__ import run
from agents.exit_codes import ExitCode
from agents.ledger import HOUR_MS, LedgerEntry, LedgerStore
from agents.position import KEY, Position, SourcePosition
from agents.store_files import NoStoreError, UnreadableStoreError, reading
from agents.tables import Engine, KeyStore, NewerStoreError, Store, StoreMark
from schemas.records import Usage
from streams.journal import CallEntry, RunHeader, StageEntry, pack
from streams.session import Session, Turn
from tests.agents.test_edge_tables import overwrite_mark

MARK = StoreMark(next=7, seen_ms=1_700_000_000_000, changelog_id=b"sixteen bytes id")

TURN = Turn(pipeline="p", request_id="r1", at_ms=4, fields={"reply": "yes"})
SESSION = Session(session_id="sé", turns=1, updated_ms=4, history=(TURN,))
POSITION = Position(
    token="t",  # noqa: S106 - no secret
    number=3,
    shape="s",
    sources={"in": SourcePosition(next=5, ranges=((7, 9),))},
)
ENTRY = LedgerEntry(at_ms=MARK.seen_ms, topic="in", partition=1, offset=4)
HEADER = RunHeader(pipeline_version=1, fingerprint="f", started_ms=2, attempt=1)
CALL = CallEntry(
    site="draft", ordinal=0, digest="d", text="hello", usage=Usage(calls=1)
)
STAGE = StageEntry(
    site="note",
    sequence=1,
    version="v",
    fingerprint="f",
    outputs={"note": "n"},
    usage=Usage(),
    started_ms=2,
    duration_ms=1,
    attempts=1,
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """The stores of the app's group."""
    return tmp_path / "penstock-main"


@pytest.fixture
def dump(tmp_path: Path, capfd):
    """Run the command; return its exit code, and its lines or its line of error."""

    def call(*arguments: str):
        code = run(["state", "dump", *arguments], {"PENSTOCK_STATE_DIR": str(tmp_path)})
        said = capfd.readouterr()
        return code, [orjson.loads(line) for line in said.out.splitlines()] or said.err

    return call


def ledger(engine: Engine, path: Path) -> LedgerStore:
    return LedgerStore(
        engine, path, window_s=86_400, max_entries=99, on_shortened=lambda _: None
    )


def filled(store: Store, **entries: bytes) -> Store:
    store.apply([(k.encode(), v) for k, v in entries.items()], MARK)
    return store


def footprint(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.iterdir()
    }


def raw(value: bytes) -> str:
    return base64.b64encode(value).decode()


def test_a_store_is_read_while_it_is_open_and_nobody_notices(engine, group):
    path = group / "sessions" / "0"
    store = filled(KeyStore(engine, path), a=b"1", b=b"2")
    before = footprint(path)
    with reading(path) as files:
        store.apply([(b"c", b"3")], StoreMark(next=8))
        assert files.mark == MARK
        assert list(files.entries) == [(b"a", b"1"), (b"b", b"2")]
    assert {k: v for k, v in footprint(path).items() if v != before[k]}.keys() <= {
        file.name for file in path.glob("*.log")
    }
    with reading(path) as files:
        assert files.mark == StoreMark(next=8)
        assert len(list(files.entries)) == 3
    store.close()


def test_every_hour_of_a_ledger_is_read(engine, group):
    path = group / "ledger" / "0"
    store = ledger(engine, path)
    earlier = LedgerEntry(
        at_ms=ENTRY.at_ms - HOUR_MS, topic="in", partition=1, offset=2
    )
    filled(store, new=ENTRY.pack(), old=earlier.pack())
    with reading(path) as files:
        assert [key for key, _ in files.entries] == [b"old", b"new"]
    store.close()


def test_each_table_is_shown_with_its_marks_and_what_its_values_say(
    engine, group, dump
):
    header, call, stage = pack(HEADER), pack(CALL), pack(STAGE)
    stores = [
        filled(KeyStore(engine, group / "sessions" / "2"), sé=SESSION.pack()),
        filled(
            KeyStore(engine, group / "tasks" / "0"), **{KEY.decode(): POSITION.pack()}
        ),
        filled(
            ledger(engine, group / "ledger" / "0"), **{"p\0s\0r1\0000": ENTRY.pack()}
        ),
        filled(
            KeyStore(engine, group / "journal" / "0"),
            **{"r\0\0h": header, "r\0\0c/draft/0": call, "r\0\0s/note": stage},
        ),
    ]
    code, lines = dump("sessions")
    assert code == ExitCode.DONE
    where = {"table": "sessions", "partition": 2}
    assert lines == [
        {**where, "key": "\0next", "value": 7, "raw": None},
        {**where, "key": "\0seen", "value": MARK.seen_ms, "raw": None},
        {
            **where,
            "key": "\0id",
            "value": MARK.changelog_id.hex(),
            "raw": raw(MARK.changelog_id),
        },
        {
            **where,
            "key": "sé",
            "value": {
                "session_id": "sé",
                "turns": 1,
                "updated_ms": 4,
                "history": [
                    {
                        "pipeline": "p",
                        "request_id": "r1",
                        "at_ms": 4,
                        "fields": {"reply": "yes"},
                    }
                ],
            },
            "raw": raw(SESSION.pack()),
        },
    ]
    [position] = values(dump("tasks"))
    assert position["sources"] == {"in": {"next": 5, "ranges": [[7, 9]]}}
    [entry] = values(dump("ledger"))
    assert entry == {"at_ms": MARK.seen_ms, "topic": "in", "partition": 1, "offset": 4}
    called, begun, noted = values(dump("journal"))
    assert (called["entry"], called["text"]) == ("call", "hello")
    assert (begun["entry"], begun["attempt"]) == ("header", 1)
    assert (noted["entry"], noted["outputs"]) == ("stage", {"note": "n"})
    for store in stores:
        store.close()


def values(dumped: tuple[int, list[dict]]) -> list[dict]:
    code, lines = dumped
    assert code == ExitCode.DONE
    return [line["value"] for line in lines if not line["key"].startswith("\0")]


def test_what_cannot_be_read_is_shown_as_bytes(engine, group, dump):
    store = KeyStore(engine, group / "sessions" / "0")
    store.apply([(b"\xff", b"\x02new"), (b"s", b"\x01{")], MARK)
    _, [*_, newer, damaged] = dump("sessions")
    assert (damaged["key"], damaged["value"]) == ({"base64": "/w=="}, None)
    assert damaged["raw"] == raw(b"\x02new")
    assert (newer["key"], newer["value"], newer["raw"]) == ("s", None, raw(b"\x01{"))
    store.close()


def test_all_partitions_in_their_order_or_the_one_that_is_asked_for(
    engine, group, tmp_path, dump
):
    for number in (10, 9, 1):
        KeyStore(engine, group / "tasks" / str(number)).close()
    _, lines = dump("tasks")
    assert [line["partition"] for line in lines[::3]] == [1, 9, 10]
    _, lines = dump("tasks", "--partition", "9", "--state-dir", str(tmp_path))
    assert {line["partition"] for line in lines} == {9}


@pytest.mark.parametrize("arguments", [[], ["--partition", "3"]])
def test_a_folder_without_stores_is_one_line_with_its_cure(arguments, dump):
    code, said = dump("sessions", *arguments)
    assert code == ExitCode.USAGE
    [line] = said.splitlines()
    assert "no stores here; name the state folder of a worker" in line


def test_files_that_rocksdb_refuses_are_one_line_with_its_cure(engine, group, dump):
    path = group / "sessions" / "0"
    filled(KeyStore(engine, path), a=b"1").close()
    [manifest] = path.glob("MANIFEST-*")
    manifest.write_bytes(b"garbage")
    code, said = dump("sessions")
    assert code == ExitCode.FAILED
    [line] = said.splitlines()
    assert "let the worker start: it rebuilds a damaged store" in line
    with pytest.raises(UnreadableStoreError), reading(path):
        pass


def test_a_store_of_a_newer_penstock_is_not_guessed_at(engine, group, dump):
    path = group / "sessions" / "0"
    filled(KeyStore(engine, path), a=b"1").close()
    overwrite_mark(engine, path, b"\xff" + bytes(16))
    with pytest.raises(NewerStoreError), reading(path):
        pass
    assert dump("sessions")[0] == ExitCode.FAILED


def test_no_folder_is_made_where_there_is_none(group):
    with pytest.raises(NoStoreError), reading(group / "sessions" / "0"):
        pass
    assert not group.exists()


def test_files_that_cannot_be_read_are_one_line_with_its_cure(engine, group, dump):
    path = group / "sessions" / "0"
    filled(KeyStore(engine, path), a=b"1").close()
    # A folder can be read as a file by nobody, not even by root.
    (path / "CURRENT").unlink()
    (path / "CURRENT").mkdir()
    code, said = dump("sessions")
    assert code == ExitCode.FAILED
    assert len(said.splitlines()) == 1
