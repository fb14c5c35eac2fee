"""What stands in a store, as lines of JSON that a person and a program can read."""

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson
from msgspec import to_builtins

from agents.ledger import LedgerEntry
from agents.position import KEY as POSITION_KEY
from agents.position import Position
from agents.store_files import StoreFiles
from agents.tables import HALF_FILLED, JOURNAL, LEDGER, SESSIONS, TASKS
from streams.errors import StateError
from streams.journal import CallEntry, Entry, RunHeader, StageEntry, unpack
from streams.session import Session

KINDS: Final[Mapping[type[Entry], str]] = {
    RunHeader: "header",
    StageEntry: "stage",
    CallEntry: "call",
}
"""What a journal entry is called in ``value.entry``."""


def lines_of(table: str, partition: int, files: StoreFiles) -> Iterator[bytes]:
    """Return a line for each mark of a store, then one for each of its entries."""
    for key, value, raw in _marks(files):
        yield _line(table, partition, key, value, raw)
    for stored_key, stored in files.entries:
        value = _value(table, stored_key, stored)
        yield _line(table, partition, _text(stored_key), value, stored)


def _marks(files: StoreFiles) -> Iterator[tuple[str, Any, bytes | None]]:
    mark = files.mark
    # No table key begins with a zero byte: these three can be nobody's.
    # A store that is being loaded is at no offset yet.
    yield "\0next", None if mark == HALF_FILLED else mark.next, None
    yield "\0seen", mark.seen_ms, None
    yield "\0id", mark.changelog_id.hex(), mark.changelog_id


def _line(table: str, partition: int, key: Any, value: Any, raw: bytes | None) -> bytes:
    return orjson.dumps(
        {
            "table": table,
            "partition": partition,
            "key": key,
            "value": value,
            "raw": None if raw is None else base64.b64encode(raw).decode(),
        }
    )


def _text(key: bytes) -> str | dict[str, str]:
    """Return *key* as text, or marked as base64 where it is none."""
    try:
        return key.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(key).decode()}


def _value(table: str, key: bytes, stored: bytes) -> Any:
    """Return what is stored as JSON has it; None where it cannot be read."""
    try:
        return _READ[table](key, stored)
    except (StateError, ValueError, KeyError):
        # A newer format, damage, or a key that we do not know: its bytes tell.
        return None


def _session(key: bytes, stored: bytes) -> dict[str, Any]:
    found: dict[str, Any] = to_builtins(Session.unpack(key.decode(), stored))
    return found


def _ledger(_key: bytes, stored: bytes) -> dict[str, Any]:
    found: dict[str, Any] = to_builtins(LedgerEntry.unpack(stored))
    return found


def _journal(_key: bytes, stored: bytes) -> dict[str, Any]:
    entry = unpack(stored)
    return {"entry": KINDS[type(entry)], **to_builtins(entry)}


def _task(key: bytes, stored: bytes) -> dict[str, Any] | None:
    return to_builtins(Position.unpack(stored)) if key == POSITION_KEY else None


_READ: Final[Mapping[str, Callable[[bytes, bytes], Any]]] = {
    SESSIONS: _session,
    LEDGER: _ledger,
    JOURNAL: _journal,
    TASKS: _task,
}
