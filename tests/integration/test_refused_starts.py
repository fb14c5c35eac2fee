"""A worker that would do harm does not start: one line, an exit code, and the cure."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from confluent_kafka.admin import NewPartitions

from agents.exit_codes import ExitCode
from tests.integration.lab import Ask, Lab
from tests.integration.processes import WorkerProcess
from tests.integration.texts import ECHO
from tests.integration.verdict import answered

OTHER = ECHO.replace("pipeline: echo", "pipeline: other")


@dataclass(frozen=True)
class Town:
    """An app at work, and strangers that want to start beside it."""

    lab: Lab
    worker: WorkerProcess
    strangers: Mapping[str, WorkerProcess]

    def end_of(self, name: str) -> tuple[int, str]:
        """Return exit code and last line of a stranger."""
        stranger = self.strangers[name]
        code = stranger.wait(within_s=60)
        lines = [
            line
            for line in stranger.log.read_text().splitlines()
            if not line.startswith("{")
        ]
        [line] = lines
        return code, line


@pytest.fixture(scope="module")
def town(new_shared_lab) -> Town:
    lab = new_shared_lab({"echo": ECHO})
    worker = lab.worker().ready()
    lab.send("echo", [Ask(request_id="r", session_id=None, inputs={"ticket": "x"})])
    answered(lab.tail(lab.topic("echo", "results")), 1, within_s=20)
    both = lab.folder / "both"
    shutil.copytree(lab.folder / "pipelines", both)
    (both / "other.yaml").write_text(OTHER)
    lab.provision(["echo", "other"])
    lab.provision(["echo"], app="new")
    # All at once: each takes seconds, most of them to import.
    strangers = {
        "shape": lab.worker("shape", pipelines_dir=both),
        "missing": lab.worker("missing", prefix="nowhere"),
        "partitions": lab.worker("partitions", partitions=8),
        "unreachable": lab.worker("unreachable", bootstrap="127.0.0.1:1"),
        "not new": lab.worker("new", app="new"),
        "folder": lab.worker(),
    }
    return Town(lab, worker, strangers)


def test_another_set_of_pipelines_is_refused_while_others_are_at_work(town):
    code, line = town.end_of("shape")
    assert code == ExitCode.USAGE
    assert "roll all workers at once" in line


def test_missing_topics_are_named_with_the_command_that_makes_them(town):
    code, line = town.end_of("missing")
    assert code == ExitCode.USAGE
    assert "nowhere.echo.requests is missing: run `penstock topics apply`" in line


def test_another_number_of_partitions_is_refused(town):
    code, line = town.end_of("partitions")
    assert code == ExitCode.USAGE
    assert "partitions" in line


def test_an_unreachable_broker_has_an_exit_code_of_its_own(town):
    code, line = town.end_of("unreachable")
    assert code == ExitCode.UNREACHABLE
    assert "no broker answers at 127.0.0.1:1" in line


def test_a_new_app_beside_results_of_another_one_is_refused(town):
    code, line = town.end_of("not new")
    assert code == ExitCode.USAGE
    assert "PENSTOCK_NEW_APP" in line


def test_a_state_folder_has_one_worker(town):
    # Named like the worker: its log is the worker's too.
    assert town.strangers["folder"].wait(within_s=60) == ExitCode.USAGE
    assert "is used by another worker" in town.worker.log.read_text()


def test_the_worker_at_work_noticed_nothing(town):
    for stranger in town.strangers.values():
        stranger.wait(within_s=60)
    ask = Ask(request_id="r2", session_id=None, inputs={"ticket": "x"})
    town.lab.send("echo", [ask])
    answered(town.lab.tail(town.lab.topic("echo", "results")), 2, within_s=20)
    assert town.worker.exit_code is None


def test_partitions_that_are_added_while_it_runs_end_the_worker(town):
    topic = town.lab.topic("echo", "requests")
    [future] = town.lab.admin.create_partitions([NewPartitions(topic, 8)]).values()
    future.result(20)
    assert town.worker.wait(within_s=60) == ExitCode.USAGE
