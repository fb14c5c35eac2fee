"""The import contracts hold, and each of them fails when somebody breaks it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agents", "streams", "schemas")

PLANTED = {
    "schemas/records.py": "from streams.errors import StreamsError",  # 1
    "streams/retry.py": "from streams.running.run import run",  # 2
    "streams/language/problems.py": "from streams.language.section import Section",  # 2a
    "streams/compiling/flow_order.py": "from streams.compiling import flow",  # 2b
    "streams/running/values.py": "from streams.running import engine",  # 2c
    "streams/conditions/work.py": "from streams.conditions import cel",  # 2d
    "agents/position.py": "from agents.task import Task", #, 3
    "streams/clock.py": "import aiokafka",  # 4
    "streams/metrics.py": "import dspy",  # 5a
    "agents/lanes.py": "import litellm",  # 5b
    "agents/health.py": "from streams.lms.opening import open_lm",  # 5c
    "schemas/errors.py": "from schemas.codec import decode",  # 6
}
"""One violation of each contract, by file."""


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Verdicts on a copy of the rooms with everything in PLANTED."""
    copy = _copy(tmp_path_factory.mktemp("planted"))
    for name, line in PLANTED.items():
        with (copy / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    return _verdicts(_lint(copy))


def test_the_contracts_hold() -> None:
    said = _lint(ROOT)
    assert set(_verdicts(said).values()) == {"KEPT"}, said


@pytest.mark.parametrize("contract", ["1", "2", "2a", "2b", "2c", "2d", "3", "4", "5a", "5b", "5c", "6"])
def test_each_contract_fails_once_it_is_broken(
    linted: Mapping[str, str], contract: str
) -> None:
    assert linted[contract] == "BROKEN"


def test_a_new_file_must_be_placed_on_a_floor(tmp_path: Path) -> None:
    copy = _copy(tmp_path)
    (copy / "streams/newcomer.py").write_text('"""A file."""\n', encoding="utf-8")
    (copy / "agents/newcomer.py").write_text('"""A file."""\n', encoding="utf-8")
    said = _lint(copy)
    assert "streams.newcomer" in said
    assert "agents.newcomer" in said


def _copy(to: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(
            ROOT / room, to / room, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / ".importlinter", to)
    return to


def _lint(folder: Path) -> str:
    ended = subprocess.run(  # noqa: S603 - our own environment's command
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return ended.stdout + ended.stderr


def _verdicts(said: str) -> Mapping[str, str]:
    """Return KEPT or BROKEN by the number in front of each contract's name."""
    found = re.findall(r"^(\d\w?)\. .*?(KEPT|BROKEN)", said, re.MULTILINE | re.DOTALL)
    return dict(found)
