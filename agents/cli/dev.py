"""`penstock dev broker|demo`: a real Kafka broker on this machine, and a show on it."""

import signal
from typing import Any

import click

from agents.broker import BrokerOptions, cache_folder, detached, install
from agents.cli.invocation import invocation
from agents.cli.verbs import Verb, verbose_option
from agents.exit_codes import ExitCode


@click.group()
def command() -> None:
    """Develop on this machine."""


@command.command(params=[verbose_option()])
def demo() -> None:
    """Take 200 real tickets through a pipeline, on a broker and a worker of its own.

    Runs in a checkout. With PENSTOCK_BOOTSTRAP the broker is yours, and the topics
    are deleted in the end.
    """
    # Only here: it takes the Kafka client to send and read.
    from agents.demo.run import run_demo  # noqa: PLC0415

    # A background job of a script is born deaf to Ctrl-C, and to what is made of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # As Ctrl-C: whoever stops us wants the broker and the worker stopped as well.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    run_demo(invocation().env, click.echo)


@command.group()
def broker() -> None:
    """Run Apache Kafka itself, for development; it keeps its topics between starts."""


@broker.command(cls=Verb)
@click.option("--port", type=int, help="Where it listens; a free port if not said.")
def start(port: int | None) -> None:
    """Start the broker, if it does not run; it stays until it is stopped."""
    call = invocation()
    found = detached.start(install(call.env), BrokerOptions(port=port))
    call.show_one(_row(found))


@broker.command(cls=Verb)
@click.option("--wipe", is_flag=True, help="Delete its topics and its address as well.")
def stop(*, wipe: bool) -> None:
    """Stop the broker. Its topics stay for the next start."""
    call = invocation()
    stopped = detached.stop(cache_folder(call.env), wipe=wipe)
    call.show_one({"stopped": stopped, "wiped": wipe})


@broker.command(cls=Verb)
def status() -> ExitCode:
    """Show whether the broker runs, and where; exit code 3 if it does not."""
    call = invocation()
    found = detached.find(cache_folder(call.env))
    call.show_one(_row(found))
    running = found is not None and found.running
    return ExitCode.DONE if running else ExitCode.UNREACHABLE


def _row(found: detached.Detached | None) -> dict[str, Any]:
    if found is None or not found.running:
        return {"running": False, "bootstrap": None, "pid": None, "started_ms": None}
    return {
        "running": True,
        "bootstrap": found.bootstrap,
        "pid": found.pid,
        "started_ms": found.started_ms,
    }
