"""`penstock pipeline diff`: what changed between two files, and who will notice."""

import click

from agents.cli.compiling import pipeline_of
from agents.cli.invocation import invocation
from agents.cli.verbs import Verb
from streams.views.changes import changes_between


@click.command(cls=Verb)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
def diff(old: str, new: str) -> None:
    """Say what changed from OLD to NEW: files, or names of pipelines."""
    call = invocation()
    before, after = pipeline_of(call, old), pipeline_of(call, new)
    call.show(
        [
            {"place": change.place, "change": change.sentence}
            for change in changes_between(before, after)
        ]
    )
