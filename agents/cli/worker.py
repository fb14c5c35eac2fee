"""`penstock worker`: runs a worker until it is told to stop; or lets one leave."""

import asyncio
import signal
import sys

import click

from agents.cli.invocation import invocation
from agents.cli.verbs import Verb, verbose_option
from agents.descriptors import allow_descriptors
from agents.exit_codes import ExitCode


@click.group(invoke_without_command=True, params=[verbose_option()])
@click.pass_context
def command(ctx: click.Context) -> ExitCode | None:
    """Run a worker until SIGTERM or SIGINT; it drains, settles and leaves."""
    if ctx.invoked_subcommand is not None:
        return None
    # Loading takes seconds, in which there is nothing to drain.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitCode.DONE))
    call = invocation()
    settings = call.connected_settings()
    allow_descriptors(settings)
    # Only here: Faust and RocksDB, for those who run and not for those who ask.
    from agents.worker import main  # noqa: PLC0415

    return main(settings, call.env)


@command.command(cls=Verb)
@click.argument("instance")
def leave(instance: str) -> None:
    """Remove the static member INSTANCE, a stopped worker that will not come back.

    Its partitions move at once, and not when its session times out.
    """
    # Only here: whoever runs a worker does not need it.
    from agents.group import leave as leave_group  # noqa: PLC0415

    call = invocation()
    settings = call.connected_settings()
    asyncio.run(leave_group(settings.bootstrap, settings.group, instance))
    call.show_one({"group": settings.group, "instance": instance, "left": True})
