"""What `penstock state dump` shows is what the changelogs add up to."""

import base64
from collections.abc import Callable

import orjson
import pytest

from agents.__main__ import run
from agents.exit_codes import ExitCode
from agents.tables import TABLES
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask, Lab
from tests.integration.texts import ECHO
from tests.integration.verdict import answered

REQUESTS = 40


@pytest.fixture
def lab(new_lab) -> Lab:
    return new_lab({"echo": ECHO})


@pytest.fixture
def dump(lab, capfd) -> Callable[[str], list[dict]]:
    """Run the command on the folder of worker "a"."""

    def call(table: str) -> list[dict]:
        env = {"PENSTOCK_PREFIX": lab.prefix, "PENSTOCK_APP": lab.settings.app}
        folder = str(lab.state().parent)
        assert run(["state", "dump", table, "--state-dir", folder], env) == (
            ExitCode.DONE
        )
        return [orjson.loads(line) for line in capfd.readouterr().out.splitlines()]

    return call


def asks(begin: int, ticket: str) -> list[Ask]:
    return [
        Ask(request_id=f"r{i}", session_id=f"s{i % 8}", inputs={"ticket": ticket})
        for i in range(begin, begin + REQUESTS)
    ]


def entries(lines: list[dict]) -> dict[tuple[int, str], bytes]:
    return {
        (line["partition"], line["key"]): base64.b64decode(line["raw"])
        for line in lines
        if not line["key"].startswith("\0")
    }


def folded(lab: Lab, table: str) -> dict[tuple[int, str], bytes]:
    """Return what the changelog says, by partition and key."""
    found = {}
    for seen in lab.tail(f"{lab.settings.group}-{table}-changelog").all():
        found[seen.partition, seen.key.decode()] = seen.value
    return {
        at: value
        for at, value in found.items()
        if value is not None and not at[1].startswith("\0")
    }


def test_a_running_workers_stores_are_dumped_as_their_changelogs_have_them(lab, dump):
    worker = lab.worker().ready()
    results = lab.tail(lab.topic("echo", "results"))
    lab.send("echo", asks(0, "wait=0.05"))
    # Under way, and not to be disturbed.
    for table in TABLES:
        assert {line["partition"] for line in dump(table)} == set(range(PARTITIONS))
    answered(results, REQUESTS, within_s=20)
    for table in TABLES:
        # The store is written a moment after readers see the transaction.
        eventually(
            lambda table=table: entries(dump(table)) == folded(lab, table),
            within_s=10,
            what=f"{table}: store and changelog are one",
        )
    [session] = [line["value"] for line in dump("sessions") if line["key"] == "s3"]
    assert session["turns"] == REQUESTS // 8
    assert [turn["request_id"] for turn in session["history"]] == ["r19", "r27", "r35"]
    lab.send("echo", asks(REQUESTS, "x"))
    answered(results, 2 * REQUESTS, within_s=20)
    worker.kill()
    killed = entries(dump("ledger"))
    assert len(killed) >= REQUESTS
    assert killed.items() <= folded(lab, "ledger").items()
