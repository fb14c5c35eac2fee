"""`penstock worker`: runs a worker until it is told to stop."""

import click

from agents.cli.invocation import invocation
from agents.cli.verbs import verbose_option
from agents.descriptors import allow_descriptors
from agents.exit_codes import ExitCode


@click.group(invoke_without_command=True, params=[verbose_option()])
@click.pass_context
def command(ctx: click.Context) -> ExitCode | None:
    """Run a worker until SIGTERM or SIGINT; it drains, settles and leaves."""
    if ctx.invoked_subcommand is not None:
        return None
    call = invocation()
    settings = call.connected_settings()
    allow_descriptors(settings)
    # Only here: Faust and RocksDB, for those who run and not for those who ask.
    from agents.worker import main  # noqa: PLC0415

    return main(settings, call.env)
