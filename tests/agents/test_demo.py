"""The demo as a newcomer sees it: once from start to end, once interrupted."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from agents.broker.installation import CACHE_VARIABLE
from tests.integration.eventually import eventually
from tests.integration.processes import bare_environment

ROOT = Path(__file__).parents[2]
SUMMARY = "demo: requests=200 results=200 missing=0 duplicates=0 dead_letters=0"
READY = re.compile(r"worker  starting, pid (\d+)")


@pytest.fixture
def env(own_cache: Path) -> dict[str, str]:
    """Nothing of ours: the demo finds all that it needs."""
    return bare_environment() | {CACHE_VARIABLE: str(own_cache)}


def demo(env: dict[str, str], folder: Path = ROOT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agents", "dev", "demo"],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_over(cache: Path) -> list[Path]:
    """Return what demos and brokers left behind in *cache*."""
    return [*cache.glob("demo/*"), *cache.glob("brokers/run-*")]


@pytest.mark.slow
def test_the_demo_ends_with_one_true_line_and_leaves_nothing(env, own_cache):
    with demo(env) as running:
        out, err = running.communicate(timeout=90)
    assert running.returncode == 0, err
    lines = out.splitlines()
    assert lines[-1] == SUMMARY
    assert sum(line.startswith("demo:") for line in lines) == 1
    assert sum(line.startswith("invoice-march") for line in lines) == 5
    assert not left_over(own_cache)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_its_worker_and_deletes_its_topics(
    number, env, own_cache, bootstrap
):
    env["PENSTOCK_BOOTSTRAP"] = bootstrap
    with demo(env) as running:
        for line in running.stdout:
            if found := READY.match(line):
                worker = psutil.Process(int(found[1]))
                break
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 4
    assert err.strip() == "penstock: stopped"
    assert not psutil.pid_exists(worker.pid)
    assert not left_over(own_cache)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    eventually(
        lambda: (
            not any(name.startswith("demo-") for name in admin.list_topics().topics)
        ),
        within_s=20,
        what="no topic of a demo on a broker that is not its own",
    )


@pytest.mark.slow
def test_a_worker_that_ends_by_itself_is_said_with_its_log(env, own_cache, bootstrap):
    env |= {"PENSTOCK_BOOTSTRAP": bootstrap, "PENSTOCK_STATE_DIR": "ignored"}
    env["PENSTOCK_HTTP_HOST"] = "256.0.0.1"
    began_s = time.perf_counter()
    with demo(env) as running:
        _, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert re.search(r"penstock: the worker ended with exit code \d: see ", err)
    [log] = own_cache.glob("demo/*")
    assert str(log) in err
    assert log.read_text()
    assert time.perf_counter() - began_s < 50


def test_outside_of_a_checkout_the_demo_says_where_to_run_it(env, tmp_path):
    env["PYTHONPATH"] = str(ROOT)
    with demo(env, tmp_path) as running:
        _, err = running.communicate(timeout=60)
    assert running.returncode == 2
    assert err.splitlines() == [
        (
            "penstock: examples/data/tickets.jsonl is not here: "
            "run it in a checkout of penstock"
        )
    ]
