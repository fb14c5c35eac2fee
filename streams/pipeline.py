"""Compile pipelines: from files to values that a run can trust.

Everything is checked here, once, and every problem is reported, so that nothing about
a pipeline can go wrong later than the start of a worker. For one file
``streams/compiling/compiler.py`` does it; here are the folder, and what files know of
each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from streams.compiling.callees import OtherFile, Others
from streams.compiling.compiler import Compiler, Site
from streams.compiling.opened_lms import OpenedLMs
from streams.compiling.toolbox import Toolbox
from streams.errors import ConfigError
from streams.language.flow_file import calls_others
from streams.language.library_file import read_library
from streams.language.pipeline_file import PipelineText, read_pipeline
from streams.language.problems import Problems
from streams.language.yaml_text import plain_values
from streams.plan import Pipeline
from streams.planned import PlannedStage
from streams.session import SessionPolicy

__all__ = [
    "Pipeline",
    "PlannedStage",
    "SessionPolicy",
    "Toolbox",
    "compile_file",
    "compile_folder",
    "compile_pipeline",
    "compile_text",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One file, read and not compiled yet."""

    text: PipelineText | None
    """None for what is no pipeline at all; then there are problems."""
    problems: Problems

    def other(self, path: Path) -> OtherFile | None:
        """Return the file as those beside it see it."""
        if self.text is None or not self.text.name:
            return None
        found = tuple(self.problems.found)
        return OtherFile(where=str(path), text=self.text, problems=found)


def compile_folder(folder: Path, toolbox: Toolbox) -> Mapping[str, Pipeline]:
    """Return the pipelines of all YAML files in *folder*, by name.

    Raises:
        ConfigError: with every problem of every file, ``path: place: sentence``.
    """
    library, problems = read_library(folder)
    toolbox = replace(toolbox, library=library)
    pipelines: dict[str, Pipeline] = {}
    files: dict[str, Path] = {}
    paths = _files(folder)
    if not paths:
        problems.append(f"{folder}: there is no pipeline file (*.yaml) here")
    read = {path: _read(path, toolbox) for path in paths}
    others = _others(read)
    for path, file in read.items():
        try:
            pipeline = _compiled(file, toolbox, others)
        except ConfigError as error:
            problems += error.problems
            continue
        other = files.setdefault(pipeline.name, path)
        if other is not path:
            problems.append(f"{path}: pipeline: {other} has the name already")
        pipelines[pipeline.name] = pipeline
    if problems:
        raise ConfigError(problems)
    return pipelines


def compile_file(path: Path, toolbox: Toolbox) -> Pipeline:
    """Return the pipeline of one file; those that it calls are beside it.

    Raises:
        ConfigError: with every problem, ``path: place: sentence``.
    """
    library, problems = read_library(path.parent)
    toolbox = replace(toolbox, library=library)
    file = _read(path, toolbox)
    others: Others = {}
    if file.text is not None and calls_others(file.text.flow):
        beside = [each for each in _files(path.parent) if each != path]
        others = _others(
            {path: file, **{each: _read(each, toolbox) for each in beside}}
        )
    try:
        pipeline = _compiled(file, toolbox, others)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    if problems:
        raise ConfigError(problems)
    return pipeline


def compile_text(text: str, where: str, toolbox: Toolbox) -> Pipeline:
    """Return the pipeline that *text* describes; *where* stands in its problems.

    It is alone, and cannot call others.

    Raises:
        ConfigError: with every problem, ``where: place: sentence``.
    """
    return _compiled(_read_text(text, where, toolbox), toolbox, {})


def compile_pipeline(
    file: PipelineText,
    toolbox: Toolbox,
    problems: Problems,
    others: Others | None = None,
) -> Pipeline:
    """Return the pipeline that *file* says, which may call *others*.

    Raises:
        ConfigError: with every problem, those in *problems* before.
    """
    lms = OpenedLMs(toolbox.open_lm)
    site = Site(toolbox=toolbox, others=others or {}, lms=lms, pipeline=file.name)
    return Compiler(file, site, problems).pipeline()


def _compiled(file: _Read, toolbox: Toolbox, others: Others) -> Pipeline:
    if file.text is None:
        file.problems.raise_any()
        raise ConfigError(["a file without text has problems"])
    return compile_pipeline(file.text, toolbox, file.problems, others)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*") if p.suffix in (".yaml", ".yml"))


def _read(path: Path, toolbox: Toolbox) -> _Read:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems = Problems(str(path))
        problems.add("", f"cannot be read: {error}")
        return _Read(text=None, problems=problems)
    return _read_text(text, str(path), toolbox)


def _read_text(text: str, where: str, toolbox: Toolbox) -> _Read:
    problems = Problems(where)
    plain = plain_values(text, problems)
    if isinstance(plain, Mapping):
        file = read_pipeline(plain, toolbox.kinds, problems)
        return _Read(text=file, problems=problems)
    if not problems.found:
        problems.add("", "must be a mapping that begins with `pipeline:`")
    return _Read(text=None, problems=problems)


def _others(read: Mapping[Path, _Read]) -> dict[str, OtherFile]:
    """Return the files by the names of their pipelines; the first of each name."""
    found: dict[str, OtherFile] = {}
    for path, file in read.items():
        other = file.other(path)
        if other is not None:
            found.setdefault(other.text.name, other)
    return found
