"""The verdict on a history: every invariant, checked at the end."""

from collections.abc import Iterator

from tests.faults.check_bounds import Bounds, within
from tests.faults.check_calls import finished_calls_once
from tests.faults.check_letters import letters_once
from tests.faults.check_offsets import finished_in_time, nothing_skipped
from tests.faults.check_order import in_order
from tests.faults.check_owners import owners_only
from tests.faults.check_quiet import all_quiet
from tests.faults.check_stages import stages_complete
from tests.faults.check_tables import disk_is_changelog, tables_add_up
from tests.faults.check_terminals import terminals_once
from tests.faults.history import History, Violation
from tests.faults.index import Index
from tests.faults.pipelines import HISTORY, STAGES


def violations(history: History, bounds: Bounds | None = None) -> Iterator[Violation]:
    """Return what did not hold, I1 to I11."""
    index = Index.of(history)
    yield from terminals_once(index)
    yield from nothing_skipped(index)
    yield from finished_in_time(index)
    yield from tables_add_up(index, remembered=HISTORY)
    yield from disk_is_changelog(index)
    yield from in_order(index)
    yield from stages_complete(index, STAGES)
    yield from finished_calls_once(index)
    yield from letters_once(index)
    yield from all_quiet(index)
    yield from owners_only(index)
    yield from within(index, bounds or Bounds())
