"""`penstock pipeline`: begin a pipeline file, check it, look at it, run it once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from agents.cli.compiling import compiled, compiled_all, compiled_text
from agents.cli.invocation import Invocation, invocation
from agents.cli.pipeline_diff import diff
from agents.cli.pipeline_run import run
from agents.cli.pipeline_views import explain, graph
from agents.cli.starter import starter_path, starter_text
from agents.cli.verbs import Verb
from agents.exit_codes import ExitCode
from streams.errors import ConfigError
from streams.language.problems import Problem, located

FOLDER = click.argument(
    "folder", required=False, type=click.Path(path_type=Path, file_okay=False)
)
PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))


@click.group()
def command() -> None:
    """Look at pipelines; where none is named, at those of PENSTOCK_PIPELINES_DIR."""


for verb in (diff, explain, graph, run):
    command.add_command(verb)


@command.command(cls=Verb)
@FOLDER
def ls(folder: Path | None) -> None:
    """List the pipelines of a folder."""
    call = invocation()
    pipelines = compiled(call, call.settings(), folder=folder)
    call.show(
        [
            {
                "pipeline": pipeline.name,
                "version": pipeline.version,
                "stages": [stage.name for stage in pipeline.stages],
                "lms": [lm.name for lm in pipeline.lms],
                "sessions": pipeline.uses_session,
                "fingerprint": pipeline.fingerprint[:12],
            }
            for _, pipeline in sorted(pipelines.items())
        ]
    )


@command.command(cls=Verb)
@PATHS
def validate(paths: tuple[Path, ...]) -> ExitCode:
    """Compile the pipelines of PATHS, files or folders; report every problem.

    A problem is a line, file:line:column: place: sentence. Exit code 2 if there is
    one.
    """
    call = invocation()
    settings = call.settings()
    try:
        pipelines = compiled_all(call, settings, paths or [settings.pipelines_dir])
    except ConfigError as error:
        _show_problems(call, sorted(error.problems, key=_place))
        return ExitCode.USAGE
    names = sorted(pipeline.name for pipeline in pipelines)
    call.show([{"pipeline": name, "valid": True} for name in names])
    return ExitCode.DONE


@command.command(cls=Verb)
@click.argument("name")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write to. [default: PENSTOCK_PIPELINES_DIR]",
)
def new(name: str, folder: Path | None) -> None:
    """Write a commented file for a pipeline called NAME, ready to be changed."""
    call = invocation()
    settings = call.settings()
    path = starter_path(name, folder or settings.pipelines_dir)
    text = starter_text(name, path)
    # Names have rules, and the compiler knows them: nothing is written that is wrong.
    compiled_text(call, settings, text, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    call.show_one({"pipeline": name, "file": str(path)})


@command.command(cls=Verb)
def schema() -> None:
    """Print the JSON Schema of pipeline files, for editors."""
    # Only here: with the stage kinds come their modules.
    from streams.pipeline_schema import pipeline_schema_text  # noqa: PLC0415

    click.echo(pipeline_schema_text(), nl=False)


def _show_problems(call: Invocation, problems: Sequence[str]) -> None:
    if call.output == "table":
        # Plain lines on stdout: editors and CI read them by their first three parts.
        click.echo("\n".join(map(located, problems)))
    else:
        call.show(list(map(_row, problems)))


def _place(problem: str) -> tuple[str, int, int]:
    """Return what puts problems into the order of their files."""
    if not isinstance(problem, Problem):
        return problem, 0, 0
    return problem.where, problem.line or 0, problem.column or 0


def _row(problem: str) -> dict[str, Any]:
    if not isinstance(problem, Problem):
        return dict.fromkeys(("file", "line", "column", "place")) | {
            "problem": str(problem)
        }
    return {
        "file": problem.where,
        "line": problem.line,
        "column": problem.column,
        "place": problem.path,
        "problem": problem.sentence,
    }
