"""The command line without a broker: quick, clear, and honest in its exit codes."""

import re
import signal
import socket
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import click
import orjson
import pytest

from agents import kafka_admin
from agents.__main__ import run
from agents.cli.nouns import NOUNS
from agents.cli.verbs import Verb
from agents.exit_codes import ExitCode
from streams.config import Settings

PIPELINE = """
pipeline: echo
version: 3
input: "text: str"
output: "text: str"
stages:
  shout: {transform: "shouting:shout", signature: "text -> text"}
flow: [shout]
"""
CODE = "def shout(text: str) -> str:\n    return text.upper()\n"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with one pipeline that asks no LM, and a cache of its own."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "echo.yaml").write_text(PIPELINE)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "shouting.py").write_text(CODE)
    return {
        "PENSTOCK_PIPELINES_DIR": str(tmp_path / "pipelines"),
        "PENSTOCK_CODE_PATHS": str(tmp_path / "code"),
        "PENSTOCK_CODE_MODULES": "shouting",
        "PENSTOCK_CACHE_DIR": str(tmp_path / "cache"),
        "PENSTOCK_STATE_DIR": str(tmp_path / "state"),
        "PATH": "/usr/bin:/bin",
    }


def test_help_is_quick_and_loads_neither_faust_nor_dspy():
    began = time.perf_counter()
    code = (
        "import sys; from agents.__main__ import run; run(['--help'], {});"
        "heavy = {'dspy', 'faust', 'aiokafka', 'rocksdict', 'litellm'};"
        "sys.exit(len(heavy & set(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603 - our own line
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "topics" in done.stdout
    # 0.15 s on an idle machine; the bound leaves room for a busy one.
    assert time.perf_counter() - began < 2


def test_every_noun_is_there_and_every_verb_takes_the_common_options():
    files = {
        p.stem for p in Path(import_module("agents.cli").__file__).parent.iterdir()
    }
    for noun, (module, line) in NOUNS.items():
        command = import_module(module).command
        assert isinstance(command, click.Command)
        assert line.endswith(".")
        assert module.rpartition(".")[2] in files
        for verb in verbs(command):
            options = {name for p in verb.params for name in p.opts}
            assert "-v" in options, (noun, verb.name)
            assert "-o" in options or not isinstance(verb, Verb), (noun, verb.name)


def verbs(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return [command]
    own = [command] if command.invoke_without_command else []
    return own + [v for c in command.commands.values() for v in verbs(c)]


@pytest.mark.parametrize(
    "arguments",
    [["nope"], ["topics", "nope"], ["config", "show", "-o", "xml"], [], ["topics"]],
)
def test_a_wrong_command_line_is_exit_2_and_no_stack_trace(arguments, env, capsys):
    assert run(arguments, env) == ExitCode.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert "Usage: penstock" in said.err
    assert "Traceback" not in said.err


def test_every_wrong_setting_is_a_line_of_its_own(env, capsys):
    env |= {"PENSTOCK_PARTITIONS": "many", "PENSTOCK_PARTITONS": "8"}
    assert run(["config", "show"], env) == ExitCode.USAGE
    assert capsys.readouterr().err.splitlines() == [
        "penstock: PENSTOCK_PARTITIONS: 'many' is not a number",
        "penstock: PENSTOCK_PARTITONS: no such setting; see `penstock config show`",
    ]


def test_settings_are_shown_without_the_password_in_an_address(env, capsys):
    env["PENSTOCK_REGISTRY_URL"] = "https://me:hidden@registry:8081"
    assert run(["config", "show", "-o", "json"], env) == ExitCode.DONE
    shown = orjson.loads(capsys.readouterr().out)
    assert shown["registry_url"] == "https://me:***@registry:8081"
    assert set(shown) == set(Settings.__dataclass_fields__)
    assert run(["config", "show"], env) == ExitCode.DONE
    assert "hidden" not in capsys.readouterr().out


def test_pipelines_are_listed_and_validated(env, capsys):
    assert run(["pipeline", "ls", "-o", "json"], env) == ExitCode.DONE
    (row,) = orjson.loads(capsys.readouterr().out)
    assert (row["pipeline"], row["version"], row["stages"]) == ("echo", 3, ["shout"])
    assert run(["pipeline", "validate"], env) == ExitCode.DONE
    assert "echo" in capsys.readouterr().out


def test_every_mistake_in_a_pipeline_file_is_a_line_of_its_own(env, tmp_path, capsys):
    wrong = PIPELINE.replace("version: 3", "version: x").replace("[shout]", "[shoot]")
    (tmp_path / "pipelines" / "echo.yaml").write_text(wrong)
    assert run(["pipeline", "validate"], env) == ExitCode.USAGE
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    place = rf"{tmp_path}/pipelines/echo\.yaml:\d+:\d+: "
    assert all(re.match(place, line) for line in lines)


@pytest.mark.parametrize("verb", [["topics", "plan"], ["topics", "apply"], ["worker"]])
def test_no_broker_configured_and_none_running_is_exit_3(verb, env, capsys):
    assert run(verb, env) == ExitCode.UNREACHABLE
    (line,) = capsys.readouterr().err.splitlines()
    cure = "set PENSTOCK_BOOTSTRAP, or run `penstock dev broker start`"
    assert line == f"penstock: no broker: {cure}"


def test_a_refused_connection_is_one_line_and_exit_3(env, capsys):
    env["PENSTOCK_BOOTSTRAP"] = "127.0.0.1:1"
    assert run(["topics", "plan"], env) == ExitCode.UNREACHABLE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("penstock: no broker answers at 127.0.0.1:1: is it up?")


def test_a_silent_port_is_given_up_after_five_seconds(env, capsys, monkeypatch):
    assert kafka_admin.REACH_WITHIN_S == 5
    monkeypatch.setattr(kafka_admin, "REACH_WITHIN_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        env["PENSTOCK_BOOTSTRAP"] = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.perf_counter()
        assert run(["topics", "plan"], env) == ExitCode.UNREACHABLE
        assert time.perf_counter() - began < 4
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_unexpected_error_is_one_line_and_with_v_the_stack(env, capsys, monkeypatch):
    def broken(_env: object) -> Settings:
        raise RuntimeError("not\nforeseen")  # noqa: EM101, TRY003 - a bug says anything

    monkeypatch.setattr(Settings, "from_env", broken)
    assert run(["config", "show"], env) == ExitCode.FAILED
    assert capsys.readouterr().err.splitlines() == [
        "penstock: RuntimeError: not foreseen; -v shows where"
    ]
    for arguments in (["-v", "config", "show"], ["config", "show", "-v"]):
        assert run(arguments, env) == ExitCode.FAILED
        assert "Traceback" in capsys.readouterr().err


def test_status_without_a_dev_broker_says_no_and_exits_3(env, capsys):
    assert run(["dev", "broker", "status", "-o", "json"], env) == ExitCode.UNREACHABLE
    assert orjson.loads(capsys.readouterr().out)["running"] is False
    assert run(["dev", "broker", "stop"], env) == ExitCode.DONE


def test_the_doctor_names_a_cure_for_everything_that_lacks(env, tmp_path, capsys):
    (tmp_path / "state").write_text("a file where a folder should be")
    (tmp_path / "pipelines" / "echo.yaml").unlink()
    assert run(["doctor", "-o", "json"], env) == ExitCode.USAGE
    found = {r["check"]: r for r in orjson.loads(capsys.readouterr().out)}
    assert {name for name, row in found.items() if row["state"] == "FAIL"} == {
        "state folder",
        "pipelines",
        "broker",
    }
    assert "set PENSTOCK_STATE_DIR" in found["state folder"]["detail"]
    assert "run `penstock dev broker start`" in found["broker"]["detail"]
    assert found["topics"]["state"] == "skipped"
    assert found["java"]["state"] == "ok"


def test_wrong_settings_are_the_doctors_only_finding(env, capsys):
    env["PENSTOCK_PARTITIONS"] = "0"
    assert run(["doctor"], env) == ExitCode.USAGE
    header, finding = capsys.readouterr().out.splitlines()
    assert header.startswith("CHECK")
    assert re.match(r"settings +FAIL +PENSTOCK_PARTITIONS: at least 1", finding)


def test_the_fake_lm_serves_until_it_is_told_to_stop():
    with subprocess.Popen(
        [sys.executable, "-m", "agents", "fake-lm", "--latency-ms", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        line = server.stdout.readline()
        assert re.search(r"127\.0\.0\.1:\d+", line), line
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def test_chances_of_the_fake_lm_are_between_0_and_1(env, capsys):
    assert run(["fake-lm", "--error-rate", "7"], env) == ExitCode.USAGE
    assert "error-rate" in capsys.readouterr().err
