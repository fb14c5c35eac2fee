"""`penstock state dump`: what a worker's stores hold, on this machine's disk."""

from pathlib import Path

import click

from agents.cli.invocation import invocation
from agents.cli.verbs import verbose_option
from agents.store_files import partitions_in, reading
from agents.store_lines import lines_of
from agents.tables import TABLES


@click.group()
def command() -> None:
    """What the stores of a worker hold."""


@command.command(params=[verbose_option()])
@click.argument("table", type=click.Choice(TABLES))
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="A worker's state folder. [default: PENSTOCK_STATE_DIR]",
)
@click.option("--partition", type=click.IntRange(0), help="Only this one.")
def dump(*, table: str, state_dir: Path | None, partition: int | None) -> None:
    r"""Print the stores of TABLE: a line of JSON for each mark and each entry.

    A worker may run meanwhile: its files are only read, and no lock is taken. Each
    store is shown as of one moment, which `\0next`, its changelog offset, names; two
    stores may be shown as of two moments. `value` is null where the format is
    unknown; `raw` is the stored value in base64. Needs no broker.
    """
    settings = invocation().settings()
    folder = (state_dir or settings.state_dir) / settings.group / table
    found = partitions_in(folder) if partition is None else [partition]
    for number in found:
        with reading(folder / str(number)) as files:
            for line in lines_of(table, number, files):
                click.echo(line)
