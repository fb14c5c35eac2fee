"""docs/schemas.md is run from top to bottom: its commands print what it shows."""

import shlex
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator

from agents.__main__ import run
from agents.exit_codes import ExitCode
from tests.docs.pages import ROOT, blocks_of

PAGE = ROOT / "docs/schemas.md"


class Reader:
    """Does what the page says, in a folder of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.printed = ""

    def write(self, text: str) -> None:
        Path("pipelines").mkdir(exist_ok=True)
        Path("pipelines/desk.yaml").write_text(text)

    def type(self, line: str) -> ExitCode:
        _, *arguments = shlex.split(line)
        code = run(arguments, {"PATH": "/usr/bin:/bin", "PENSTOCK_CACHE_DIR": "cache"})
        said = self._capsys.readouterr()
        self.printed = f"{said.out}{said.err}exit code {int(code)}\n"
        return code


def test_the_page_shows_what_its_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    reader, codes = Reader(capsys), []
    for block in blocks_of(PAGE):
        match block.language:
            case "yaml":
                reader.write(block.text)
            case "sh":
                codes += [reader.type(line) for line in block.text.splitlines()]
            case "text":
                assert reader.printed == block.text, str(block)
    done, failed, unreachable = ExitCode.DONE, ExitCode.FAILED, ExitCode.UNREACHABLE
    # Two of them need no broker and find what breaks; the registry's does need one.
    assert codes == [done, failed, failed, unreachable, done]
    written = sorted(path.name for path in Path("api/desk/2").iterdir())
    assert written == [
        "Request.schema.json",
        "Result.schema.json",
        "StageResult.schema.json",
    ]
    for name in written:
        schema = orjson.loads(Path("api/desk/2", name).read_bytes())
        Draft202012Validator.check_schema(schema)
