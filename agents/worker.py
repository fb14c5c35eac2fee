"""The worker process: checks, starts, and leaves with an exit code, whatever happens.

    starting ──ready──▶ serving ──SIGTERM──▶ draining ──▶ exit 0
        │                   │                    │
        └── a check fails   └── fatal error      └── longer than its budget
            exit 1, 2 or 3      exit 1               exit by force, same code

A second signal changes nothing. Every stop is bounded: Faust's consumer thread was
seen to hang for ever when stopped while joining its group.
"""

import asyncio
import faulthandler
import fcntl
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError, KafkaTimeoutError

from agents.allocator import Trimmer
from agents.app import Worker, shape_of
from agents.checks import check
from agents.exit_codes import ExitCode
from agents.failures import (
    BrokerRefusesError,
    BrokerUnreachableError,
    EdgeError,
    OutOfMemoryError,
)
from agents.logs import configure
from agents.metrics import Metrics
from agents.seams import Seams
from agents.stop_bound import StopBound
from agents.transactions import REFUSALS
from agents.watchdog import Watchdog
from schemas.errors import SchemaError
from streams.catalog import toolbox
from streams.clock import Clock, SystemClock
from streams.config import Settings
from streams.errors import ConfigError, StateError
from streams.pipeline import compile_folder
from streams.plan import Pipeline

log = structlog.get_logger(__name__)

COLLECT: Final = (20_000, 20, 50)
"""Objects made between two looks for cycles, and looks between two deeper ones. The
default is (700, 10, 10)."""

OURS: Final = (EdgeError, SchemaError, ConfigError, StateError)
"""Errors that were written for whoever reads the last line."""

STOP_MARGIN_S: Final = 15.0
"""What stopping may take beyond the drain budget: commits, leaving, closing."""

IDLE_STOP_S: Final = 5.0
"""What stopping may take where there is nothing to drain, as while still joining, or
nothing to drain with: without memory nothing comes to its end."""

TELL_EVERY_S: Final = 15.0
"""How often a start that takes long says what it waits for."""


class FolderTakenError(EdgeError):
    """Another worker uses the same state folder."""

    code = "state.locked"
    exit_code = ExitCode.USAGE

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} is used by another worker: give each worker a folder of its "
            "own (PENSTOCK_STATE_DIR)"
        )


def main(settings: Settings, env: Mapping[str, str]) -> ExitCode:
    """Run a worker until it is told to stop; return why it ended.

    *env* is where the keys of LMs are. ``settings.bootstrap`` must be set.

    Raises:
        ConfigError: pipelines cannot be used, with every problem.
    """
    configure(settings.log_level)
    faulthandler.enable()
    clock, metrics = SystemClock(), Metrics()
    pipelines = compile_folder(
        settings.pipelines_dir, toolbox(settings, env, metrics, clock)
    )
    process = _Process(settings, pipelines, metrics, clock, seams=_seams(env))
    code = asyncio.run(process.run())
    log.info("worker.ended", exit_code=int(code))
    return code


class _Process:
    """One worker process, from its first check to its exit code."""

    def __init__(
        self,
        settings: Settings,
        pipelines: Mapping[str, Pipeline],
        metrics: Metrics,
        clock: Clock,
        *,
        seams: Seams,
    ) -> None:
        self._settings = settings
        self._seams = seams
        self._pipelines = pipelines
        self._stop = asyncio.Event()
        self._error: BaseException | None = None
        self._metrics = metrics
        self._clock = clock
        self._bound = StopBound()

    async def run(self) -> ExitCode:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        watchdog = Watchdog(loop, self._clock, stuck_s=self._settings.stuck_s)
        watchdog.start()
        trimmer = Trimmer(loop)
        trimmer.start()
        try:
            lock = _lock_folder(self._settings.state_dir)
            await self._serve()
        except (*OURS, KafkaError, MemoryError) as error:
            self._error = self._error or error
        else:
            os.close(lock)
        finally:
            trimmer.stop()
            watchdog.stop()
        return self._exit_code()

    async def _serve(self) -> None:
        worker = Worker(
            self._settings,
            self._pipelines,
            clock=self._clock,
            metrics=self._metrics,
            on_fatal=self._fatal,
            seams=self._seams,
        )
        port = await worker.start_http()
        log.info("worker.starting", http_port=port, bootstrap=self._settings.bootstrap)
        try:
            await check(
                self._settings,
                worker.topics,
                shape=shape_of(self._settings, self._pipelines),
            )
            await self._until_stopped(worker)
        finally:
            can_drain = not isinstance(self._error, MemoryError)
            self._bound_stop(busy=can_drain and bool(worker.tasks.by_partition))
            await worker.stop()

    async def _until_stopped(self, worker: Worker) -> None:
        # Here for the restore, which makes objects by the million; and once more below,
        # for what starting leaves behind.
        _tame_collector()
        stopped = asyncio.create_task(self._stop.wait())
        starting = asyncio.create_task(worker.start())
        await until_started(starting, stopped, opening=lambda: worker.tasks.opening)
        if self._stop.is_set():
            starting.cancel()
            return
        starting.result()
        _tame_collector()
        log.info("worker.ready", pipelines=sorted(self._pipelines))
        crashed = asyncio.create_task(worker.crashed())
        await asyncio.wait({stopped, crashed}, return_when=asyncio.FIRST_COMPLETED)
        if crashed.done() and not self._stop.is_set():
            self._fatal(crashed.result() or RuntimeError("Faust stopped by itself"))
        crashed.cancel()

    def _signalled(self, number: int) -> None:
        if not self._stop.is_set():
            log.info("worker.stopping", signal=signal.Signals(number).name)
        self._stop.set()

    def _fatal(self, error: BaseException) -> None:
        self._error = self._error or error
        log.error(
            "worker.fatal",
            error=_said(error),
            code=getattr(error, "code", "bug"),
            exc_info=None if isinstance(error, OURS) else error,
        )
        self._stop.set()

    def _exit_code(self) -> ExitCode:
        if self._error is None:
            return ExitCode.DONE
        error = explained(self._error, self._settings.bootstrap)
        print(f"penstock worker: {_said(error)}", file=sys.stderr)  # noqa: T201 - the one line
        if isinstance(error, ConfigError | SchemaError):
            return ExitCode.USAGE
        return getattr(error, "exit_code", ExitCode.FAILED)

    def _bound_stop(self, *, busy: bool) -> None:
        """Leave by force when stopping takes longer than it may."""
        budget_s = self._settings.drain_s + STOP_MARGIN_S if busy else IDLE_STOP_S

        def leave() -> None:
            code = ExitCode.FAILED
            # Whatever cannot be said any more: the process ends.
            with suppress(Exception):
                code = self._exit_code()
                log.error(
                    "worker.stop_forced",
                    seconds=round(budget_s, 1),
                    exit_code=int(code),
                )
            os._exit(int(code))

        self._bound.begin(budget_s, leave)


def explained(error: BaseException, bootstrap: str) -> BaseException:
    """Return *error*, or what it means to the operator of a worker."""
    if isinstance(error, REFUSALS):
        return BrokerRefusesError(bootstrap, str(error))
    if isinstance(error, KafkaTimeoutError) or getattr(error, "retriable", False):
        return BrokerUnreachableError(bootstrap)
    if isinstance(error, MemoryError):
        return OutOfMemoryError()
    return error


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, OURS) else repr(error)


def _seams(env: Mapping[str, str]) -> Seams:
    if not env.get("PENSTOCK_FAILPOINTS"):
        return Seams()
    # Only here: a worker that serves people has no failpoints in it.
    from agents.failpoints import armed  # noqa: PLC0415

    return armed(env)


def _tame_collector() -> None:
    """Keep the cycle collector from looking at what lives as long as the process.

    A request makes some forty objects, nearly all without cycles: with the default
    thresholds the collector walks all of DSPy and Faust again every few hundred
    requests. What exists now is set aside for good; the rest is looked at less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


async def until_started(
    starting: asyncio.Task[None],
    stopped: asyncio.Task[Any],
    *,
    opening: Callable[[], bool],
    tell_every_s: float = TELL_EVERY_S,
) -> None:
    """Return once *starting* or *stopped* ended; say what is waited for until then.

    A start has no end of its own: a group may be busy with a member that is stuck, and
    a restore takes as long as its changelogs.
    """
    turns = 0
    while True:
        done, _ = await asyncio.wait(
            {stopped, starting},
            timeout=tell_every_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if done:
            return
        turns += 1
        log.warning(
            "worker.waiting",
            waits_for="restore" if opening() else "group",
            seconds=round(turns * tell_every_s),
        )


def _lock_folder(folder: Path) -> int:
    """Take the state folder for this process.

    Raises:
        FolderTakenError: another worker has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "LOCK", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise FolderTakenError(folder) from None
    return descriptor
