"""`penstock schemas`: releases as files, what changed since, what others are given."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator

from agents.__main__ import run
from agents.exit_codes import ExitCode

PIPELINE = """
pipeline: echo
version: 1
input: "text: str"
output: "text: str"
stages:
  shout: {transform: "shouting:shout", signature: "text -> text"}
flow: [shout]
"""
CODE = "def shout(text: str) -> str:\n    return text.upper()\n"


class Desk:
    """A folder with one pipeline, and the command line on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.file = folder / "pipelines" / "echo.yaml"
        self.released = folder / "pipelines" / "released"
        self._capsys = capsys
        for name in ("pipelines", "code"):
            (folder / name).mkdir()
        (folder / "code" / "shouting.py").write_text(CODE)
        self.write(PIPELINE)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def run(self, *arguments: str, **more: str) -> tuple[ExitCode, str, str]:
        env = {
            "PENSTOCK_PIPELINES_DIR": str(self.folder / "pipelines"),
            "PENSTOCK_CODE_PATHS": str(self.folder / "code"),
            "PENSTOCK_CODE_MODULES": "shouting",
            "PENSTOCK_CACHE_DIR": str(self.folder / "cache"),
            "PATH": "/usr/bin:/bin",
            **more,
        }
        code = run(["schemas", *arguments], env)
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def rows(self, *arguments: str) -> list[dict]:
        return orjson.loads(self.run(*arguments, "-o", "json")[1])


@pytest.fixture
def desk(tmp_path, capsys):
    return Desk(tmp_path, capsys)


@pytest.fixture
def released(desk):
    assert desk.run("export")[0] == ExitCode.DONE
    return desk


WIDER = PIPELINE.replace("version: 1", "version: 2").replace(
    'input: "text: str"', "input: \"text: str, tier: str = 'free'\""
)
NARROWER = PIPELINE.replace("version: 1", "version: 2").replace(
    'input: "text: str"', 'input: "text: str, tier: str"'
)


def test_a_release_is_three_files_and_written_once(desk):
    rows = desk.rows("export")
    assert [Path(row["file"]).name for row in rows] == [
        "Request.avsc",
        "StageResult.avsc",
        "Result.avsc",
    ]
    assert {row["state"] for row in rows} == {"written"}
    request = orjson.loads((desk.released / "echo/1/Request.avsc").read_bytes())
    assert request["namespace"] == "penstock.echo"
    assert {row["state"] for row in desk.rows("export")} == {"there already"}


def test_what_was_released_is_never_written_over(released):
    released.write(WIDER.replace("version: 2", "version: 1"))
    code, _, err = released.run("export")
    assert code == ExitCode.FAILED
    assert "echo version 1 was released with another schema" in err
    assert "raise `version:`" in err


def test_a_check_against_a_release_needs_no_broker_and_nobody_breaks(released):
    released.write(WIDER)
    code, out, err = released.run("check")
    assert (code, err) == (ExitCode.DONE, "")
    assert "is new, with the default 'free'" in out
    assert {row["breaks"] for row in released.rows("check")} == {"nobody"}


def test_a_check_names_who_breaks_and_fails(released):
    released.write(NARROWER)
    code, out, err = released.run("check")
    assert code == ExitCode.FAILED
    who = "producers that still send version 1"
    assert who in out
    broken = f"{who} break: inputs.tier is new and has no default"
    assert err == f"penstock: echo: {broken}\n"


def test_a_check_is_against_every_version_that_was_released(released):
    released.write(WIDER)
    released.run("export")
    released.write(NARROWER.replace("version: 2", "version: 10"))
    code, _, err = released.run("check")
    assert code == ExitCode.FAILED
    # Version 2 always sends a tier; only version 1 does not.
    assert "version 1 break" in err
    assert "version 2 break" not in err
    assert [row["against"] for row in released.rows("check")][-1] == "version 2"


def test_without_a_release_a_check_says_how_to_make_one(desk):
    code, _, err = desk.run("check")
    assert code == ExitCode.USAGE
    assert f"{desk.released} holds no release: `penstock schemas export`" in err
    elsewhere = desk.folder / "elsewhere"
    assert desk.run("export", "--to", str(elsewhere))[0] == ExitCode.DONE
    assert desk.run("check", "--released", str(elsewhere))[0] == ExitCode.DONE


def test_two_files_are_compared_and_a_file_with_a_release(released):
    new = released.folder / "new.yaml"
    new.write_text(NARROWER)
    release = str(released.released / "echo" / "1")
    for old in (str(released.file), release):
        code, _, err = released.run("diff", old, str(new))
        assert code == ExitCode.FAILED
        assert "producers that still send version 1 break: inputs.tier" in err
        # The other way round it is an input less, which nobody minds.
        assert released.run("diff", str(new), old)[0] == ExitCode.DONE
    (row, *_) = released.rows("diff", str(new), release)
    assert row == {
        "pipeline": "echo",
        "message": "Request",
        "against": "version 2",
        "path": "inputs.tier",
        "difference": "is no field any more, and left out",
        "breaks": "nobody",
    }


def test_versions_of_two_pipelines_are_not_compared(released):
    other = released.folder / "other.yaml"
    other.write_text(PIPELINE.replace("echo", "other"))
    code, _, err = released.run("diff", str(released.file), str(other))
    assert code == ExitCode.USAGE
    assert "two versions of one pipeline, not echo and other" in err
    assert released.run("diff", "registered", "registered")[0] == ExitCode.USAGE


def test_a_folder_without_a_release_and_a_file_that_is_none_are_named(released):
    code, _, err = released.run("diff", str(released.folder / "code"), "nothing.yaml")
    assert code == ExitCode.USAGE
    assert "nothing.yaml" in err
    code, _, err = released.run("diff", str(released.released / "echo/7"), "x.yaml")
    assert code == ExitCode.USAGE
    (released.released / "echo/1/Request.avsc").write_text("{")
    code, _, err = released.run("check")
    assert code == ExitCode.FAILED
    assert "Request.avsc" in err


def test_what_is_registered_is_asked_of_the_broker(released):
    code, _, err = released.run("diff", "registered", str(released.file))
    assert code == ExitCode.UNREACHABLE
    assert "no broker: set PENSTOCK_BOOTSTRAP" in err


@pytest.fixture
def registry(released):
    """The address of a registry that holds what was released."""
    held = {
        f"/subjects/penstock.echo.{topic}-value/versions/latest": path.read_text()
        for topic, name in TOPICS.items()
        for path in [released.released / "echo" / "1" / f"{name}.avsc"]
    }

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = held.get(self.path)
            self.send_response(404 if text is None else 200)
            self.end_headers()
            self.wfile.write(orjson.dumps({"id": 7, "schema": text}))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


TOPICS = {"requests": "Request", "stages": "StageResult", "results": "Result"}


def test_a_registry_with_an_address_is_asked_without_a_broker(released, registry):
    there = {"PENSTOCK_REGISTRY_URL": registry}
    file = str(released.file)
    code, out, _ = released.run("diff", "registered", file, **there)
    assert code == ExitCode.DONE
    assert "the registered version" in out
    released.write(NARROWER)
    code, _, err = released.run("diff", "registered", file, **there)
    assert code == ExitCode.FAILED
    assert "producers that still send the registered version break: inputs.t" in err
    released.write(PIPELINE.replace("echo", "other"))
    code, _, err = released.run("diff", "registered", file, **there)
    assert code == ExitCode.USAGE
    assert "no schema is registered under penstock.other.requests-value" in err


def test_json_schemas_and_the_document_of_the_app_are_written_beside(desk):
    rows = desk.rows("export", "--json-schema", "--asyncapi")
    assert [Path(row["file"]).name for row in rows] == [
        "Request.schema.json",
        "StageResult.schema.json",
        "Result.schema.json",
        "asyncapi.json",
    ]
    for row in rows[:3]:
        Draft202012Validator.check_schema(orjson.loads(Path(row["file"]).read_bytes()))
    document = orjson.loads((desk.released / "asyncapi.json").read_bytes())
    assert document["info"]["version"] == "echo@1"
    assert list(desk.released.rglob("*.avsc")) == []
