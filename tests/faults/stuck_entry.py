# ruff: noqa: SLF001 - what gets stuck sits where nobody may look
"""`penstock worker` that gets stuck: ``PENSTOCK_TEST_STUCK`` says how.

It works until its first request, so that it has been seen to work; a request that says
``stick`` sets it off. No product code reads the variable.
"""

import asyncio
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from agents import __main__, app
from agents.consumer_pulse import TASKS, ConsumerThread
from agents.faust_edge import EdgeApp, EdgeConsumer
from agents.record import Record
from agents.tasks import Tasks

HOW: Final = "PENSTOCK_TEST_STUCK"
STICKY: Final = ("tests.faults.stuck_entry", "worker")
LONG_S: Final = 3_600.0
SET_OFF: Final = b"stick"


def loop_sleeps(_app: EdgeApp) -> None:
    """The event loop calls something that blocks, and lets other threads run."""
    time.sleep(LONG_S)


def loop_computes(_app: EdgeApp) -> None:
    """The event loop calls something that never lets go of the interpreter."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def loop_writes(_app: EdgeApp) -> None:
    """The event loop writes to a pipe that nobody reads, and so does whoever logs."""
    _read, write = os.pipe()
    os.dup2(write, 2)
    while True:
        os.write(2, b"x" * 4096)


def thread_sleeps(running: EdgeApp) -> None:
    """The consumer thread's loop calls something that blocks."""
    _thread(running).thread_loop.call_soon_threadsafe(time.sleep, LONG_S)


def thread_ends(running: EdgeApp) -> None:
    """The consumer thread's loop stops, and with it the thread."""
    loop = _thread(running).thread_loop
    loop.call_soon_threadsafe(loop.stop)


def fetcher_dies(running: EdgeApp) -> None:
    """The fetcher of aiokafka meets an error that it did not expect."""
    _thrown_into(running, "fetcher")


def coordination_dies(running: EdgeApp) -> None:
    """So does what keeps aiokafka in its group."""
    _thrown_into(running, "group coordination")


def metadata_dies(running: EdgeApp) -> None:
    """So does what keeps its view of the cluster up to date."""
    _thrown_into(running, "metadata update")


def drain_dies(_app: EdgeApp) -> None:
    """The loop that hands records to the agents meets an error."""
    EdgeConsumer._wait_next_records = _raising  # type: ignore[method-assign] - that is the fault


def governor_dies(_app: EdgeApp) -> None:
    """The loop that applies backpressure meets an error."""
    app.Worker._check_partitions = _raising  # type: ignore[method-assign] - likewise


def agent_dies(_app: EdgeApp) -> None:
    """The agent meets an error that is not a request's."""
    raise PlantedError


STUCK: Final[Mapping[str, Callable[[EdgeApp], None]]] = {
    stick.__name__: stick
    for stick in (
        loop_sleeps,
        loop_computes,
        loop_writes,
        thread_sleeps,
        thread_ends,
        fetcher_dies,
        coordination_dies,
        metadata_dies,
        drain_dies,
        governor_dies,
        agent_dies,
    )
}


class PlantedError(Exception):
    """Nobody expects this one."""


def plant(stick: Callable[[EdgeApp], None]) -> None:
    """Let the first request that says so set *stick* off."""
    honest, running = Tasks.submit, _Running()

    def submit(self: Tasks, agent: Any, record: Record) -> None:
        if SET_OFF in (record.value or b""):
            stick(running.app)
        honest(self, agent, record)

    Tasks.submit = submit  # type: ignore[method-assign] - that is the fault


class _Running:
    """The app of this process, known once it is made."""

    def __init__(self) -> None:
        self._apps: list[EdgeApp] = []
        honest = EdgeApp.__init__

        def init(this: EdgeApp, *args: Any, **options: Any) -> None:
            honest(this, *args, **options)
            self._apps.append(this)

        EdgeApp.__init__ = init  # type: ignore[method-assign] - to get hold of it

    @property
    def app(self) -> EdgeApp:
        return self._apps[-1]


def _thread(running: EdgeApp) -> ConsumerThread:
    thread = running.consumer_thread()
    assert thread is not None
    return thread


def _thrown_into(running: EdgeApp, name: str) -> None:
    thread = _thread(running)
    part, attribute = next((p, a) for n, p, a in TASKS if n == name)
    task: asyncio.Task[None] = getattr(getattr(thread._consumer, part), attribute)
    thread.thread_loop.call_soon_threadsafe(_throw, task)


def _throw(task: "asyncio.Task[None]") -> None:
    # Whatever the innermost coroutine waits for fails now.
    waited = task._fut_waiter  # type: ignore[attr-defined] # asyncio has it
    if waited is None or waited.done():
        # It is about to run; a turn later it waits again.
        task.get_loop().call_soon(_throw, task)
        return
    waited.set_exception(PlantedError())


def _raising(*_: object) -> None:
    raise PlantedError


if __name__ == "__main__":
    assert threading.current_thread() is threading.main_thread()
    plant(STUCK[os.environ[HOW]])  # noqa: TID251 - a process of the tests
    __main__.main()
