"""A rebalance: partitions that stay with a worker are served while it opens others."""

from agents.routing import home_partition
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask
from tests.integration.processes import WorkerProcess
from tests.integration.texts import ECHO
from tests.integration.verdict import answered

OPENING_S = 8
SOON_S = 5


def tasks(worker: WorkerProcess) -> float:
    return worker.metric("penstock_tasks_live")


def asks(name: str, partitions: set[int]) -> list[Ask]:
    """Return a request for each of some sessions that live in *partitions*."""
    sessions = [f"s{i}" for i in range(40)]
    return [
        Ask(request_id=f"{name}-{key}", session_id=key, inputs={"ticket": "x"})
        for key in sessions
        if home_partition(key, PARTITIONS) in partitions
    ]


def test_partitions_that_stay_are_served_while_others_are_opened(new_lab):
    lab = new_lab({"echo": ECHO})
    results = lab.tail(lab.topic("echo", "results"))
    # The first to open behind its first four takes its time.
    slow = f"claim.after_init=sleep:{OPENING_S}@{PARTITIONS + 1}"
    stays = lab.worker("stays", failpoints=slow).ready()
    leaves = lab.worker("leaves")
    eventually(
        lambda: tasks(stays) + tasks(leaves) == PARTITIONS and tasks(leaves) > 0,
        within_s=30,
        what="both have tasks",
    )
    kept = set(range(PARTITIONS)) - set(leaves.events("tasks.assigned")[-1]["fresh"])
    assert kept

    leaves.terminate()
    eventually(
        lambda: stays.get("/readyz")[0] == 503,
        within_s=SOON_S,
        what="it opens what the other one had",
    )
    some = asks("kept", kept)
    lab.send("echo", some)
    answered(results, len(some), within_s=SOON_S)
    assert tasks(stays) == len(kept)

    rest = asks("all", set(range(PARTITIONS)))
    lab.send("echo", rest)
    answered(results, len(some) + len(rest), within_s=OPENING_S + 20)
    assert tasks(stays) == PARTITIONS
