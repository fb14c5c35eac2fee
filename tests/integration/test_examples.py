"""The examples with an ordinary Kafka client work as they stand, against a worker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.lab import Lab
from tests.integration.processes import WorkerProcess

ROOT = Path(__file__).parents[2]
SUPPORT = (ROOT / "pipelines" / "support.yaml").read_text(encoding="utf-8")


def run(script: str, lab: Lab, worker: WorkerProcess, role: str, *more: str) -> str:
    """Run one of the examples as a user does; return what it prints."""
    command = [
        *(sys.executable, str(ROOT / "examples" / script)),
        *("--bootstrap", lab.settings.bootstrap, "--registry", worker.url),
        *("--topic", lab.topic("support", role), *more),
    ]
    done = subprocess.run(  # noqa: S603 - our own example
        command, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def lab(new_lab) -> Lab:
    return new_lab({"support": SUPPORT}, code_modules="examples", code_paths=ROOT)


def test_the_examples_need_nothing_but_the_brokers_and_the_registrys_address(lab):
    worker = lab.worker().ready()
    ticket = ("--ticket", "I was charged twice this month", "--session", "s-1")
    request_id = run("confluent_producer.py", lab, worker, "requests", *ticket).strip()
    printed = run("confluent_consumer.py", lab, worker, "results", "--count", "1")
    result = json.loads(printed.splitlines()[-1])
    assert result["request_id"] == request_id
    assert (result["status"], result["session_id"], result["turn"]) == ("OK", "s-1", 1)
    assert set(result["outputs"]) == {"category", "reply"}
