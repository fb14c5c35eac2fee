"""Compiles the pipelines that a command is about; the one way to DSPy from here."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from agents.cli.invocation import Invocation
from streams.clock import SystemClock
from streams.config import Settings
from streams.errors import ConfigError
from streams.language.problems import meant
from streams.metrics import NullRecorder, Recorder
from streams.pipeline import Toolbox, compile_file, compile_folder, compile_text
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
    tools = _tools(call, settings, recorder)
    return compile_folder(folder or settings.pipelines_dir, tools)


def compiled_text(
    call: Invocation, settings: Settings, text: str, where: str
) -> Pipeline:
    """Return the pipeline that *text* describes; *where* stands in its problems.

    Raises:
        ConfigError: with every problem.
    """
    return compile_text(text, where, _tools(call, settings))


def compiled_file(call: Invocation, settings: Settings, path: Path) -> Pipeline:
    """Return the pipeline in the file at *path*.

    Raises:
        ConfigError: with every problem of the file.
    """
    return compile_file(path, _tools(call, settings))


def compiled_all(
    call: Invocation, settings: Settings, paths: Iterable[Path]
) -> list[Pipeline]:
    """Return the pipelines of *paths*, each a file or a folder.

    Raises:
        ConfigError: with every problem of every file.
    """
    found: list[Pipeline] = []
    problems: list[str] = []
    for path in paths:
        try:
            if path.is_dir():
                found += compiled(call, settings, folder=path).values()
            else:
                found.append(compiled_file(call, settings, path))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return found


def pipeline_of(call: Invocation, named: str) -> Pipeline:
    """Return the pipeline that a person means by *named*: a name, or a file.

    Raises:
        ConfigError: it is not there, or cannot be compiled; with every problem.
    """
    settings = call.settings()
    if named.endswith((".yaml", ".yml")):
        return compiled_file(call, settings, Path(named))
    pipelines = compiled(call, settings)
    if named not in pipelines:
        raise ConfigError([f"no pipeline is called {named}; {meant(named, pipelines)}"])
    return pipelines[named]


def _tools(
    call: Invocation, settings: Settings, recorder: Recorder | None = None
) -> Toolbox:
    # Only here: with stages that ask an LM comes DSPy, a second and fifty megabytes.
    from streams.catalog import toolbox  # noqa: PLC0415

    return toolbox(settings, call.env, recorder or NullRecorder(), SystemClock())
