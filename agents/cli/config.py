"""`penstock config show`: the settings as they are, secrets masked."""

import click

from agents.cli.invocation import invocation
from agents.cli.verbs import Verb
from streams.config import PREFIX


@click.group()
def command() -> None:
    """Look at the settings."""


@command.command(cls=Verb)
def show() -> None:
    """Show every setting, its value, and the variable that sets it."""
    call = invocation()
    masked = call.settings().masked()
    if call.output != "table":
        call.show_one(masked)
        return
    call.show(
        [
            {"setting": name, "value": value, "variable": PREFIX + name.upper()}
            for name, value in masked.items()
        ]
    )
