"""The pipeline that the documentation builds in Python is the file and the drawing."""

from pathlib import Path
from typing import Any

import pytest

from streams.catalog import toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.metrics import NullRecorder
from streams.pipeline import compile_pipeline
from streams.language.problems import Problems
from streams.views.as_text import text_of
from streams.views.drawing import drawing_of
from tests.docs.pages import ROOT, blocks_of

PAGE: Path = ROOT / "docs/pipelines.md"
BLOCKS = list(blocks_of(PAGE))


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    """What the names in the block stand for, once it has run."""
    (block,) = [b for b in BLOCKS if "from streams.builder" in b.text]
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), names)  # noqa: S102 - our own page
    return names


def test_the_file_is_what_to_yaml_writes(built: dict[str, Any]) -> None:
    assert built["text"] in [block.text for block in BLOCKS]


def test_the_drawing_is_what_the_command_draws(built: dict[str, Any]) -> None:
    tools = toolbox(Settings(), {}, NullRecorder(), SystemClock())
    pipeline = compile_pipeline(built["desk"], tools, Problems("desk"))
    drawing = text_of(drawing_of(pipeline)).splitlines()
    shown = [block.text.splitlines() for block in BLOCKS if block.language == "text"]
    assert drawing in shown
