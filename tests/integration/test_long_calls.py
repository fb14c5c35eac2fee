"""An LM may take longer than every timeout of Kafka's: nobody is thrown out for it."""

from typing import Final

from tests.integration.asking import asking
from tests.integration.lab import TIMERS

SESSION_S: Final = float(TIMERS["PENSTOCK_SESSION_TIMEOUT_S"])
CALL_S: Final = 1.2 * SESSION_S
"""Longer than the session, and twice as long as a transaction may be open."""


def test_a_call_that_outlives_session_and_transaction_is_asked_once_and_answered(
    new_lab, tmp_path
):
    with asking(new_lab, tmp_path) as case:
        case.lm.behave(latency_ms=CALL_S * 1_000)
        worker = case.lab.worker().ready()
        case.load(6)
        case.answers(within_s=4 * CALL_S)
        case.check()
        assert not case.lm.repeated()
        assert len(worker.events("tasks.assigned")) == 1
        assert not worker.events("task.dead")
