"""One call of `penstock`: its environment, and what its options say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import click

from agents.cli.output import Format, Row, render, render_next
from agents.failures import NoBrokerError
from streams.config import Settings


@dataclass(slots=True)
class Invocation:
    """What all verbs share. Mutable: options fill it in as click meets them."""

    env: Mapping[str, str]
    output: Format = "table"
    verbose: bool = False

    def settings(self) -> Settings:
        """Return the settings as they are.

        Raises:
            ConfigError: with every problem.
        """
        return Settings.from_env(self.env)

    def connected_settings(self) -> Settings:
        """Return the settings with a broker: the dev broker where none is named.

        Raises:
            ConfigError: with every problem.
            NoBrokerError: none is named, and the dev broker does not run.
        """
        settings = self.settings()
        if settings.bootstrap:
            return settings
        # Only here: it looks for processes, and most calls name their broker.
        from agents.broker import cache_folder, detached  # noqa: PLC0415

        found = detached.find(cache_folder(self.env))
        if found is None or not found.running:
            raise NoBrokerError
        return replace(settings, bootstrap=found.bootstrap)

    def show(self, rows: Sequence[Row]) -> None:
        """Print *rows* as ``-o`` says."""
        click.echo(render(rows, self.output))

    def show_one(self, row: Row) -> None:
        """Print one thing: a column of its parts, or a single object."""
        if self.output == "table":
            self.show([{"name": name, "value": value} for name, value in row.items()])
        else:
            click.echo(render(row, self.output))

    def stream(self, row: Row) -> None:
        """Print one thing of many that come one by one; not as a table."""
        click.echo(render_next(row, self.output))


def invocation() -> Invocation:
    """Return the call that is running."""
    return click.get_current_context().ensure_object(Invocation)
