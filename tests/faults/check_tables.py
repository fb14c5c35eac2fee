"""I4: tables are what the terminals add up to, in the changelogs and on disk."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tests.faults.history import Violation
from tests.faults.index import Index
from tests.faults.reading import ledger_entry, session_entry

Folded = Mapping[str, Mapping[int, Mapping[bytes, bytes]]]


def tables_add_up(index: Index, *, remembered: int) -> Iterator[Violation]:
    """Check the changelogs. A session remembers *remembered* answered requests."""
    tables = index.history.tables()
    yield from _sessions(index, tables, remembered)
    yield from _ledger(index, tables)
    for partition, entries in tables.get("journal", {}).items():
        for key in entries:
            yield Violation(
                invariant=4,
                what="a finished run has a journal entry",
                evidence={"partition": partition, "key": key},
            )


def disk_is_changelog(index: Index) -> Iterator[Violation]:
    """Check what a worker has on disk, of partitions that it owned to the end."""
    tables = index.history.tables()
    for table, partitions in index.history.dumps.items():
        for partition, stored in partitions.items():
            folded = tables.get(table, {}).get(partition, {})
            wrong = {
                k
                for k in stored.keys() | folded.keys()
                if stored.get(k) != folded.get(k)
            }
            if wrong:
                yield Violation(
                    invariant=4,
                    what=f"{len(wrong)} keys on disk are not as in the changelog",
                    evidence={
                        "table": table,
                        "partition": partition,
                        "key": min(wrong),
                        "disk": stored.get(min(wrong)),
                        "changelog": folded.get(min(wrong)),
                    },
                )


def _sessions(index: Index, tables: Folded, remembered: int) -> Iterator[Violation]:
    turns: defaultdict[tuple[int, str], int] = defaultdict(int)
    answered: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for terminal in index.history.terminals:
        if terminal.session_id is None or terminal.turn is None:
            continue
        whose = (terminal.at.partition, terminal.session_id)
        turns[whose] += 1
        if terminal.status == "OK":
            answered[whose].append(terminal.key.request_id)
    stored = {
        (partition, key.decode()): session_entry(value)
        for partition, entries in tables.get("sessions", {}).items()
        for key, value in entries.items()
    }
    for whose in sorted(turns.keys() | stored.keys()):
        wanted = (turns[whose], tuple(answered[whose][-remembered:]))
        if stored.get(whose, (0, ())) != wanted:
            yield Violation(
                invariant=4,
                what="a session is not what its terminals add up to",
                evidence={
                    "partition": whose[0],
                    "session": whose[1],
                    "stored": stored.get(whose),
                    "terminals": wanted,
                },
            )


def _ledger(index: Index, tables: Folded) -> Iterator[Violation]:
    wanted = {
        (t.at.partition, "\0".join(map(str, t.key)).encode()): t.source
        for t in index.history.terminals
    }
    stored = {
        (partition, key): ledger_entry(value)
        for partition, entries in tables.get("ledger", {}).items()
        for key, value in entries.items()
    }
    for entry in sorted(wanted.keys() | stored.keys()):
        if wanted.get(entry) != stored.get(entry):
            yield Violation(
                invariant=4,
                what="the ledger does not say what was answered",
                evidence={
                    "partition": entry[0],
                    "key": entry[1],
                    "stored": str(stored.get(entry)),
                    "terminal": str(wanted.get(entry)),
                },
            )
