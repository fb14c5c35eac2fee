"""How long a task gathers: long enough to share a transaction, no longer."""

import pytest

from agents.pace import COMPANY_S, STRETCH, Pace

INTERVAL_S = 0.03


@pytest.fixture
def pace():
    return Pace(INTERVAL_S)


def test_the_first_settlement_waits_for_those_of_its_fetch_only(pace):
    assert pace.wait_s(now_s=100) == COMPANY_S


def test_a_task_rests_for_the_interval_after_a_quick_commit(pace):
    pace.committed(took_s=0.001, at_s=100)
    assert pace.wait_s(now_s=100) == pytest.approx(INTERVAL_S)
    assert pace.wait_s(now_s=100.02) == pytest.approx(INTERVAL_S - 0.02)


def test_a_task_that_has_rested_commits_at_once(pace):
    pace.committed(took_s=0.001, at_s=100)
    assert pace.wait_s(now_s=101) == COMPANY_S


def test_a_task_rests_longer_after_a_slow_commit(pace):
    pace.committed(took_s=0.04, at_s=100)
    assert pace.wait_s(now_s=100) == pytest.approx(0.08)


def test_no_commit_is_so_slow_that_results_wait_for_ever(pace):
    pace.committed(took_s=10, at_s=100)
    assert pace.wait_s(now_s=100) == pytest.approx(STRETCH * INTERVAL_S)


def test_a_task_without_an_interval_never_waits():
    pace = Pace(0)
    pace.committed(took_s=1, at_s=100)
    assert pace.wait_s(now_s=100) == 0
