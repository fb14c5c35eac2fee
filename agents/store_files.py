"""A store's files, read by somebody who is not its worker, while that one may run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import rocksdict

from agents.exit_codes import ExitCode
from agents.failures import EdgeError
from agents.tables import META, StoreMark, read_mark

TRIES: Final = 20
"""A worker that runs may replace files while they are opened. It does so when a
memtable is full, every few megabytes of writes, and RocksDB then says what is missing:
each try sees a whole store or none."""


class NoStoreError(EdgeError):
    """There are no stores where somebody looked for them."""

    code = "state.missing"
    exit_code = ExitCode.USAGE

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path}: no stores here; name the state folder of a worker that ran "
            "(--state-dir), with its PENSTOCK_PREFIX and PENSTOCK_APP"
        )


class UnreadableStoreError(EdgeError):
    """A store's files cannot be read."""

    code = "state.unreadable"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}; try again, and if it stays so let the worker start: "
            "it rebuilds a damaged store from its changelog"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFiles:
    """One partition of one table, as it was when it was opened."""

    mark: StoreMark
    entries: Iterator[tuple[bytes, bytes]]
    """Every key and value, those of the oldest segment first."""


def partitions_in(folder: Path) -> list[int]:
    """Return the partitions that have a store below *folder*, a table's.

    Raises:
        NoStoreError: none has.
    """
    found = [p for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
    if not found:
        raise NoStoreError(folder)
    return sorted(int(path.name) for path in found if path.name.isdecimal())


@contextmanager
def reading(path: Path) -> Iterator[StoreFiles]:
    """Open the store in *path* for reading: no lock is taken, nothing is changed.

    What is seen is one moment of that store: all of each transaction, or none.

    Raises:
        NoStoreError: there is none.
        UnreadableStoreError: RocksDB refuses the files.
        NewerStoreError: a newer penstock wrote them.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-state-") as folder:
        db, families = _opened(path, Path(folder))
        meta = families.pop(META)
        try:
            yield StoreFiles(mark=read_mark(meta, path), entries=_entries(families))
        finally:
            # Handles first: a family keeps its database open.
            families.clear()
            del meta
            db.close()


def _entries(families: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for name in sorted(families):
        yield from families[name].items()


def _opened(path: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    if not (path / "CURRENT").exists():
        raise NoStoreError(path)
    reason = ""
    for number in range(TRIES):
        try:
            return _open(_mirror(path, folder / str(number)))
        except Exception as error:  # noqa: BLE001 - rocksdict raises bare Exceptions
            reason = " ".join(str(error).split())
    raise UnreadableStoreError(path, reason)


def _mirror(path: Path, folder: Path) -> Path:
    """Make *folder* look like *path*: a link to each file.

    rocksdict writes a file of its own into whatever it opens, read-only or not; a
    worker's folder is none of our business.
    """
    folder.mkdir()
    for file in path.iterdir():
        if file.name != "rocksdict-config.json":
            (folder / file.name).symlink_to(file.resolve())
    return folder


def _open(folder: Path) -> tuple[Any, dict[str, Any]]:
    names = rocksdict.Rdict.list_cf(str(folder))
    db = rocksdict.Rdict(
        str(folder),
        _options(folder),
        column_families={n: _options(folder) for n in names if n != "default"},
        access_type=rocksdict.AccessType.read_only(),
    )
    return db, {name: db.get_column_family(name) for name in names}


def _options(folder: Path) -> rocksdict.Options:
    options = rocksdict.Options(raw_mode=True)
    # All files at once: those that a compaction removes later stay readable.
    options.set_max_open_files(-1)
    # Not beside the links: RocksDB would rename the LOG that it finds there.
    options.set_db_log_dir(str(folder.parent))
    return options
