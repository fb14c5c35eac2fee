"""Every noun of `penstock`, and where its verbs are. Nothing is imported to list them.

A noun's module has a ``command``: a click command or group. Its verbs take ``-o`` and
``-v`` by being made with ``Verb`` (``agents/cli/verbs.py``).
"""

from importlib import import_module
from typing import Final

import click

NOUNS: Final[dict[str, tuple[str, str]]] = {
    "config": ("agents.cli.config", "The settings as they are."),
    "dev": ("agents.cli.dev", "A broker on this machine, and a demo on it."),
    "dlq": ("agents.cli.dlq", "Dead letters, and their second try."),
    "doctor": ("agents.cli.doctor", "Check everything a worker needs; name cures."),
    "fake-lm": ("agents.cli.fake_lm", "Serve an LM that answers without thinking."),
    "get": ("agents.cli.get", "What became of a request."),
    "offsets": ("agents.cli.offsets", "Where an app goes on reading."),
    "pipeline": ("agents.cli.pipeline", "The pipelines of a folder."),
    "request": ("agents.cli.request", "Send a request and wait for its result."),
    "schemas": ("agents.cli.schemas", "What of a pipeline may change; releases."),
    "state": ("agents.cli.state", "What the stores of a worker hold."),
    "tail": ("agents.cli.tail", "Results as they come."),
    "topics": ("agents.cli.topics", "The topics that an app needs."),
    "worker": ("agents.cli.worker", "Run a worker until it is told to stop."),
}
"""Noun: module and one line of help."""


class Nouns(click.Group):
    """The root of the command line; imports a noun when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NOUNS:
            return None
        command: click.Command = import_module(NOUNS[cmd_name][0]).command
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        # click's own would import every noun for its help line.
        with formatter.section("Nouns"):
            formatter.write_dl([(noun, NOUNS[noun][1]) for noun in sorted(NOUNS)])
