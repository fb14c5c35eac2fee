"""Runs the demo: everything that a deployment has, on this machine, for a while."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from agents.broker import DevBroker, cache_folder, install
from agents.demo.conversation import Conversation
from agents.demo.stage import DemoStage
from agents.demo.tickets import read_tickets
from agents.demo.worker_process import WorkerProcess
from agents.failures import DemoFailedError, DemoWorkerError
from streams.clock import Clock, SystemClock
from streams.config import Settings

TICKETS: Final = Path("examples/data/tickets.jsonl")

Say = Callable[[str], None]
"""Shows a line."""


def run_demo(env: Mapping[str, str], say: Say) -> None:
    """Play the demo in the current folder, a checkout.

    Raises:
        ConfigError: settings are wrong, all of them named.
        DemoFilesError: the current folder is no checkout.
        DevBrokerError: none is named, and none of our own can be had.
        BrokerUnreachableError: the broker that is named does not answer.
        DemoWorkerError: the worker did not live until it was told to stop.
        DemoFailedError: not every request got its one result.
    """
    clock, settings = SystemClock(), Settings.from_env(env)
    tickets = read_tickets(TICKETS)
    with (
        _broker(env, settings.bootstrap, clock, say) as bootstrap,
        DemoStage(
            env, bootstrap, cache_folder(env), strike=bool(settings.bootstrap)
        ) as stage,
    ):
        say(f"topics  {stage.name}.*")
        with WorkerProcess(stage.env, stage.log) as worker, asyncio.Runner() as runner:
            # An interrupt in the middle of making a loop leaves half of one, loudly.
            runner.get_loop()
            say(f"worker  starting, pid {worker.pid}")
            conversation = Conversation(stage, worker, clock, say)
            talk = conversation.hold(tickets)
            try:
                tally = runner.run(talk)
            finally:
                talk.close()  # an interrupt may come before its first step
            code = worker.stop()
        say(f"\nworker  stopped, exit code {code}")
        if code:
            raise DemoWorkerError(code, stage.log)
        say(tally.summary())
        if not tally.right:
            raise DemoFailedError(stage.log)


@contextlib.contextmanager
def _broker(
    env: Mapping[str, str], named: str, clock: Clock, say: Say
) -> Iterator[str]:
    """Give the address of a broker: the one that is *named*, else one of our own."""
    if named:
        say(f"broker  {named}")
        yield named
        return
    say("broker  starting Apache Kafka; the first time it is fetched")
    began_s = clock.monotonic_s()
    with DevBroker.start(install(env)) as broker:
        took_s = clock.monotonic_s() - began_s
        say(f"broker  {broker.bootstrap}, ready after {took_s:.1f} s")
        yield broker.bootstrap
