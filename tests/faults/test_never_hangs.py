"""A worker keeps working, or ends with one line: it never hangs in silence.

A real worker on a real broker is made to get stuck in each way that we know. Nobody
probes half of them: such a worker has to end by itself. /livez tells the others first.
"""

import pytest

from agents.health import GRACE_S
from agents.watchdog import BEHIND
from tests.faults.stuck_entry import HOW, STICKY
from tests.integration.eventually import eventually
from tests.integration.lab import Ask
from tests.integration.texts import ECHO
from tests.integration.verdict import answered

STUCK_S = 4.0
DRAIN_S = 2.0
STOP_S = DRAIN_S + 15.0
"""What stopping may take: agents/worker.py."""
MACHINE_S = 6.0
"""For a busy machine to do what takes no time."""

LOOPS = {
    "loop_sleeps": STUCK_S,
    "loop_writes": STUCK_S + 5.0,
    "loop_computes": STUCK_S * BEHIND,
}
"""How long the process may live on with a main loop that is stuck."""

AT_ONCE = {
    "thread_ends": "",
    "drain_dies": "",
    "governor_dies": "",
    "agent_dies": "",
}

ILL = {
    "thread_sleeps": "the consumer thread has not turned for",
    "fetcher_dies": "the consumer's fetcher died",
    "coordination_dies": "the consumer's group coordination died",
    "metadata_dies": "the consumer's metadata update died",
}
"""What /livez says, and the last line of the worker."""

SHORT = {"fetcher_dies"}
"""One that nothing but a look can find."""


def _marked(ways):
    return [
        pytest.param(how, marks=pytest.mark.slow if how in SHORT else pytest.mark.long)
        for how in ways
    ]


@pytest.fixture
def sticky(new_lab):
    """Make a worker that works, and then gets stuck."""

    def start(how: str):
        lab = new_lab(
            {"echo": ECHO}, stuck_s=STUCK_S, drain_s=DRAIN_S, **{_name(HOW): how}
        )
        worker = lab.worker(entry=STICKY).ready()
        lab.send("echo", [_ask("r-1", "hello")])
        answered(lab.tail(lab.topic("echo", "results")), 1, within_s=20)
        lab.send("echo", [_ask("r-2", "stick")])
        return worker

    return start


def _name(variable: str) -> str:
    return variable.removeprefix("PENSTOCK_").lower()


def _ask(request_id: str, ticket: str) -> Ask:
    return Ask(request_id=request_id, session_id=None, inputs={"ticket": ticket})


@pytest.mark.parametrize("how", _marked(LOOPS))
def test_a_loop_that_is_stuck_ends_its_process(sticky, how):
    worker = sticky(how)
    assert worker.wait(LOOPS[how] + MACHINE_S) == 1
    log = worker.log.read_text(errors="replace")
    if how == "loop_sleeps":
        assert "the event loop has not turned for" in worker.last_words()
        assert " loop_sleeps" in log
    if how == "loop_computes":  # nothing of Python's can say it
        assert "Timeout" in log
        assert "in loop_computes" in log


@pytest.mark.parametrize("how", _marked(AT_ONCE))
def test_a_part_that_ended_ends_the_worker(sticky, how):
    worker = sticky(how)
    assert worker.wait(GRACE_S + STOP_S + MACHINE_S) == 1
    assert worker.last_words()


@pytest.mark.parametrize("how", _marked(ILL))
def test_a_consumer_that_does_not_work_is_told_by_livez_and_ends_the_worker(
    sticky, how
):
    worker = sticky(how)
    eventually(
        lambda: ILL[how] in worker.get("/livez")[1],
        within_s=STUCK_S + MACHINE_S,
        what=f"/livez says {ILL[how]}",
    )
    assert worker.get("/livez")[0] == 503
    assert worker.wait(GRACE_S + STOP_S + MACHINE_S) == 1
    assert ILL[how] in worker.last_words()
