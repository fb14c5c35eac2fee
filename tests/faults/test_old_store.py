"""A store that comes back after what it missed was compacted away is rebuilt."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agents.exit_codes import ExitCode
from agents.tables import JOURNAL, SESSIONS, TASKS
from tests.faults.dump import dump
from tests.integration.asking import Asking, asking
from tests.integration.conftest import labs
from tests.integration.eventually import eventually
from tests.integration.lab import Lab
from tests.integration.processes import bare_environment

CLOCKED = ("tests.faults.clock_entry", "worker")
FOUR_DAYS_S = 4 * 86_400
"""More than half of what tombstones are kept."""

CLEANER = {
    "log.cleaner.backoff.ms": "200",
    "log.retention.check.interval.ms": "500",
    "log.segment.delete.delay.ms": "100",
}
"""Compacts at once what a topic allows to be compacted."""


@contextmanager
def cleaned_at_once(lab: Lab, table: str) -> Iterator[None]:
    """Let *table* forget what is deleted, tombstones included, as soon as can be."""
    topic = changelog(lab, table)
    was = lab.config(topic)["delete.retention.ms"].value
    lab.alter(topic, min_cleanable_dirty_ratio=0, delete_retention_ms=0, segment_ms=500)
    yield
    # No worker starts on tombstones that are kept for less than they should be.
    lab.alter(topic, delete_retention_ms=was)


def changelog(lab: Lab, table: str) -> str:
    return f"{lab.settings.group}-{table}-changelog"


def traces(lab: Lab, table: str) -> set[bytes]:
    """Return every key of which the changelog still has a record, or a tombstone."""
    with lab.tail(changelog(lab, table)) as tail:
        return {seen.key for seen in tail.all() if not seen.key.startswith(b"\0")}


def dies_with_runs_in_its_journal(case: Asking) -> dict[bytes, bytes]:
    """Kill a worker between two stages; return what its store has of their runs."""
    case.load(40)
    worker = case.lab.worker(failpoints="store.applied=kill@20")
    assert worker.wait(within_s=60) == -signal.SIGKILL
    stored = stores(case.lab, JOURNAL)
    assert stored, "nothing was in the journal"
    return stored


def stores(lab: Lab, table: str) -> dict[bytes, bytes]:
    env = bare_environment() | {"PENSTOCK_PREFIX": lab.prefix}
    found = dump(env, lab.folder / "state-a", [table])
    return {k: v for entries in found[table].values() for k, v in entries.items()}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_store_older_than_its_tombstones_is_rebuilt_and_is_as_its_changelog(
    start_broker, tmp_path, figures
):
    broker = start_broker(properties=CLEANER)
    with labs(broker.bootstrap, tmp_path) as new_lab, asking(new_lab, tmp_path) as case:
        lab = case.lab
        state, aside = lab.folder / "state-a", lab.folder / "aside"
        missed = dies_with_runs_in_its_journal(case)
        shutil.copytree(state, aside)
        worker = lab.worker().ready()
        case.answers()

        def forgotten() -> bool:
            # The segment that is written to is never cleaned: it has to be followed.
            case.load(4)
            return not missed.keys() & traces(lab, JOURNAL)

        with cleaned_at_once(lab, JOURNAL):
            eventually(forgotten, within_s=90, what="runs without a trace")
        case.answers()
        assert worker.terminate() == ExitCode.DONE
        shutil.rmtree(state)
        shutil.copytree(aside, state)
        later = lab.worker(entry=CLOCKED, test_clock_s=FOUR_DAYS_S).ready()
        assert later.terminate() == ExitCode.DONE
        wiped = later.events("store.wiped")
        figures(missed=len(missed), wiped=len(wiped))
        for table in (JOURNAL, SESSIONS, TASKS):
            assert stores(lab, table) == lab.changelog(table), table
        assert any("not seen for" in event["reason"] for event in wiped)
        case.check()
