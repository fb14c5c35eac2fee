"""A worker that is killed or told to stop: one answer each, and nothing paid twice."""

import re
import signal
from pathlib import Path

from tests.integration.asking import Asking, asking
from tests.integration.eventually import eventually
from tests.integration.processes import WorkerProcess
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict

REQUESTS = 160
SIGTERM = 1 << (signal.SIGTERM - 1)
"""Its bit in a mask of signals."""


def test_kill_9_with_calls_in_flight_repeats_no_call_that_was_committed(
    new_lab, tmp_path, figures
):
    with asking(new_lab, tmp_path) as case:
        worker = case.lab.worker(instance="one").ready()
        case.load(REQUESTS)
        case.answers(but=100)
        worker.kill()
        # What it left open is aborted by its successor: this is all that counts.
        asked, finished = set(case.lm.asked()), case.finished()
        worker = case.lab.worker(instance="one").ready()
        case.answers()
        assert worker.terminate() == 0
        case.check()
        again = case.lm.repeated()
        assert not finished & again.keys(), "a finished call was paid again"
        # Those in flight, and those that were answered and not committed.
        assert sum(again.values()) <= len(asked - finished)
        figures(kill_9_repeated=len(again), of_unfinished=len(asked - finished))


def halfway(case: Asking) -> set[str]:
    """Return the requests with a finished stage that only the journal knows of."""
    done = {
        case.lab.decode("ask", "results", seen)["request_id"]
        for seen in case.results.all()
    }
    return {call.split("/")[0] for call in case.finished()} - done


def stopped_halfway(worker: WorkerProcess, case: Asking) -> bool:
    """Stop *worker* if some runs are between their two stages; else let it go on."""
    # Stopped first: runs go in step, and looking takes longer than a stage.
    worker.send(signal.SIGSTOP)
    if halfway(case):
        return True
    worker.send(signal.SIGCONT)
    return False


def test_a_run_that_comes_back_to_a_changed_pipeline_begins_anew_and_is_counted(
    new_lab, tmp_path, figures
):
    with asking(new_lab, tmp_path) as case:
        worker = case.lab.worker().ready()
        case.load(REQUESTS)
        case.answers(but=100)
        eventually(
            lambda: stopped_halfway(worker, case),
            within_s=20,
            what="runs that are halfway",
        )
        worker.kill()
        finished, begun = case.finished(), halfway(case)
        file = case.lab.settings.pipelines_dir / "ask.yaml"
        brief = file.read_text().replace("draft: {", "draft: {instructions: Be brief, ")
        file.write_text(brief)

        worker = case.lab.worker().ready()
        case.answers()
        dropped = worker.metric("penstock_journal_dropped_total")
        assert worker.terminate() == 0
        assert dropped == len(begun) > 0
        again = case.lm.repeated()
        assert {call.split("/")[0] for call in finished & again.keys()} <= begun
        figures(runs_begun_anew=dropped, calls_paid_again=len(again))
        verdict = Verdict.of(case.lab, "ask")
        verdict.check_once(case.asks)
        verdict.check_order(case.asks)
        verdict.check_sessions()


def test_sigterm_under_load_drains_and_repeats_nothing(new_lab, tmp_path):
    with asking(new_lab, tmp_path) as case:
        worker = case.lab.worker().ready()
        case.load(REQUESTS)
        case.answers(but=100)
        worker.send(signal.SIGTERM)
        eventually(
            lambda: worker.get("/readyz")[0] != 200, within_s=5, what="not ready"
        )
        # A second one changes nothing.
        worker.send(signal.SIGTERM)
        assert worker.wait(within_s=25) == 0
        assert case.lab.members() == 0
        successor = case.lab.worker("b").ready()
        case.answers()
        assert successor.terminate() == 0
        case.check()
        assert case.lm.repeated() == {}


def test_sigterm_while_loading_ends_the_worker(new_lab):
    loading = new_lab({"echo": ECHO}).worker()
    status = Path(f"/proc/{loading.pid}/status")
    eventually(
        lambda: int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16) & SIGTERM,
        within_s=10,
        what="it listens",
    )
    loading.send(signal.SIGTERM)
    assert loading.wait(within_s=10) == 0
    assert not loading.events("worker.starting")


def test_sigterm_while_joining_the_group_ends_the_worker(new_lab):
    lab = new_lab({"echo": ECHO}, drain_s=1)
    # A member that died without a word: until its session ends, the group waits for
    # it, with whoever joins meanwhile.
    lab.worker("dead", session_timeout_s=60).ready().kill()
    joining = lab.worker("joining")
    eventually(lambda: lab.members() == 2, within_s=30, what="a joining member")
    assert joining.get("/readyz")[0] == 503
    assert joining.terminate(within_s=20) == 0
