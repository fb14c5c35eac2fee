"""`penstock pipeline ls|validate`: what a folder of pipeline files says."""

from pathlib import Path

import click

from agents.cli.compiling import compiled
from agents.cli.invocation import invocation
from agents.cli.verbs import Verb

FOLDER = click.argument(
    "folder", required=False, type=click.Path(path_type=Path, file_okay=False)
)


@click.group()
def command() -> None:
    """Look at pipelines; without a folder, at those of PENSTOCK_PIPELINES_DIR."""


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
@FOLDER
def validate(folder: Path | None) -> None:
    """Compile the pipelines of a folder; report every problem of every file."""
    call = invocation()
    pipelines = compiled(call, call.settings(), folder=folder)
    call.show([{"pipeline": name, "valid": True} for name in sorted(pipelines)])
