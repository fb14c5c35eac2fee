"""Compiles the pipelines that the settings name; the one way to DSPy from here."""

from collections.abc import Mapping
from pathlib import Path

from agents.cli.invocation import Invocation
from streams.clock import SystemClock
from streams.config import Settings
from streams.metrics import NullRecorder, Recorder
from streams.plan import Pipeline


def compiled(
    call: Invocation,
    settings: Settings,
    *,
    folder: Path | None = None,
    recorder: Recorder | None = None,
) -> Mapping[str, Pipeline]:
    """Return the pipelines of *folder*, else of the settings' folder, by name.

    Raises:
        ConfigError: with every problem of every file.
    """
    # Only here: with stages that ask an LM comes DSPy, a second and fifty megabytes.
    from streams.catalog import toolbox  # noqa: PLC0415
    from streams.pipeline import compile_folder  # noqa: PLC0415

    tools = toolbox(settings, call.env, recorder or NullRecorder(), SystemClock())
    return compile_folder(folder or settings.pipelines_dir, tools)
