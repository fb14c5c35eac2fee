"""The command line against a real broker: topics, doctor, and the dev broker itself."""

import itertools

import orjson
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from agents.__main__ import run
from agents.exit_codes import ExitCode

PIPELINE = """
pipeline: echo
version: 1
input: "text: str"
output: "text: str"
stages:
  shout: {transform: "calling:call", signature: "text -> text"}
flow: [shout]
"""
CODE = "def call(text: str) -> str:\n    return text.upper()\n"
numbers = itertools.count()


@pytest.fixture
def folders(tmp_path) -> dict[str, str]:
    (tmp_path / "echo.yaml").write_text(PIPELINE)
    (tmp_path / "calling.py").write_text(CODE)
    return {
        "PENSTOCK_PIPELINES_DIR": str(tmp_path),
        "PENSTOCK_CODE_PATHS": str(tmp_path),
        "PENSTOCK_CODE_MODULES": "calling",
        "PENSTOCK_STATE_DIR": str(tmp_path / "state"),
        "PENSTOCK_PREFIX": f"cli{next(numbers)}",
        "PENSTOCK_PARTITIONS": "2",
        "PATH": "/usr/bin:/bin",
    }


@pytest.fixture
def env(folders, bootstrap) -> dict[str, str]:
    return {**folders, "PENSTOCK_BOOTSTRAP": bootstrap}


def states(capsys) -> set[str]:
    rows = orjson.loads(capsys.readouterr().out)
    assert len(rows) == 10
    return {row["state"] for row in rows}


def test_topics_are_missing_then_created_then_fine(env, capsys):
    for verb, state in [
        ("plan", "missing"),
        ("apply", "created"),
        ("plan", "ok"),
        ("apply", "ok"),
    ]:
        assert run(["topics", verb, "-o", "json"], env) == ExitCode.DONE
        assert states(capsys) == {state}


@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_a_wrong_topic_is_exit_2_and_a_line_with_its_cure(verb, env, bootstrap, capsys):
    name = f"{env['PENSTOCK_PREFIX']}.echo.results"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(20)
    assert run(["topics", verb], env) == ExitCode.USAGE
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(
        f"penstock: topic {name} has 3 partitions, wanted 2: set PENSTOCK_PARTITIONS=3"
    )
    assert all(line.startswith(f"penstock: topic {name} has ") for line in lines)


def test_the_doctor_is_content_once_the_topics_are_there(env, capsys):
    assert run(["doctor"], env) == ExitCode.USAGE
    assert "run `penstock topics apply`" in capsys.readouterr().out
    assert run(["topics", "apply"], env) == ExitCode.DONE
    capsys.readouterr()
    assert run(["doctor"], env) == ExitCode.DONE
    assert "FAIL" not in capsys.readouterr().out


def test_without_an_address_commands_use_the_running_dev_broker(
    folders, own_cache, capsys
):
    folders["PENSTOCK_CACHE_DIR"] = str(own_cache)
    try:
        assert run(["dev", "broker", "start", "-o", "json"], folders) == ExitCode.DONE
        started = orjson.loads(capsys.readouterr().out)
        assert run(["dev", "broker", "status", "-o", "json"], folders) == ExitCode.DONE
        assert orjson.loads(capsys.readouterr().out) == started
        assert run(["topics", "apply"], folders) == ExitCode.DONE
        names = AdminClient({"bootstrap.servers": started["bootstrap"]}).list_topics()
        assert f"{folders['PENSTOCK_PREFIX']}.echo.requests" in names.topics
    finally:
        assert run(["dev", "broker", "stop", "--wipe"], folders) == ExitCode.DONE
    capsys.readouterr()
    assert run(["dev", "broker", "status"], folders) == ExitCode.UNREACHABLE
