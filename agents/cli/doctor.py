"""`penstock doctor`: what a worker needs, one line each, cures where it lacks."""

import asyncio
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from agents.broker.java import find_java
from agents.cli.compiling import compiled
from agents.cli.endings import ending_of
from agents.cli.invocation import Invocation, invocation
from agents.cli.verbs import Verb
from agents.descriptors import allow_descriptors, descriptors_needed
from agents.exit_codes import ExitCode
from agents.failures import ClockError, StateFolderError
from agents.kafka_admin import OLDEST_KAFKA, require_new_enough
from agents.provisioning import check
from streams.clock import SystemClock
from streams.config import Settings


@click.command(cls=Verb)
def command() -> ExitCode:
    """Check what a worker needs; the exit code is the first failure's."""
    call = invocation()
    examination = Examination()
    if examination.passes("settings", lambda: _settings(call)):
        _examine(examination, call, call.settings())
    call.show(examination.findings)
    return examination.worst


class Examination:
    """What was found so far. A check says what it found, or raises what is wrong."""

    def __init__(self) -> None:
        self.findings: list[dict[str, str]] = []
        self.worst = ExitCode.DONE

    def passes(self, name: str, check: Callable[[], str]) -> bool:
        """Note what *check* says; return whether it raised nothing."""
        try:
            self._note(name, "ok", check())
        except Exception as error:  # noqa: BLE001 - every failure is a finding
            code, lines = ending_of(error)
            self.worst = self.worst or code
            for line in lines:
                self._note(name, "FAIL", line)
            return False
        return True

    def skips(self, name: str, why: str) -> None:
        """Note that *name* cannot be checked."""
        self._note(name, "skipped", why)

    def _note(self, name: str, state: str, detail: str) -> None:
        self.findings.append({"check": name, "state": state, "detail": detail})


def _examine(examination: Examination, call: Invocation, settings: Settings) -> None:
    if settings.bootstrap:
        examination.skips("java", "not needed: PENSTOCK_BOOTSTRAP names a broker")
    else:
        examination.passes("java", lambda: _java(call))
    examination.passes("clock", _clock)
    examination.passes("open files", lambda: _descriptors(settings))
    examination.passes("state folder", lambda: _folder(settings.state_dir))
    has_pipelines = examination.passes("pipelines", lambda: _pipelines(call, settings))
    has_broker = examination.passes("broker", lambda: _broker(call))
    if has_pipelines and has_broker:
        examination.passes("topics", lambda: _topics(call))
    else:
        examination.skips("topics", "needs the broker and the pipelines")


def _settings(call: Invocation) -> str:
    settings = call.settings()
    return f"app {settings.group}, {settings.partitions} partitions"


def _java(call: Invocation) -> str:
    java = find_java(call.env)
    return f"Java {java.major} for the dev broker: {java.path}"


def _clock() -> str:
    now_s = SystemClock().now_ms() / 1_000
    now = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")
    if now_s < Path(__file__).stat().st_mtime:
        raise ClockError(now)
    return now


def _descriptors(settings: Settings) -> str:
    return f"{allow_descriptors(settings)}, {descriptors_needed(settings)} needed"


def _folder(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return str(folder)
    except OSError as error:
        raise StateFolderError(folder, error.strerror or str(error)) from error


def _pipelines(call: Invocation, settings: Settings) -> str:
    pipelines = compiled(call, settings)
    lms = {lm.name for pipeline in pipelines.values() for lm in pipeline.lms}
    asked = f", with keys for {', '.join(sorted(lms))}" if lms else ""
    return f"{', '.join(sorted(pipelines))}{asked}"


def _broker(call: Invocation) -> str:
    bootstrap = call.connected_settings().bootstrap
    asyncio.run(require_new_enough(bootstrap))
    return f"{bootstrap}, Kafka {OLDEST_KAFKA} or newer"


def _topics(call: Invocation) -> str:
    settings = call.connected_settings()
    names = sorted(compiled(call, settings))
    asyncio.run(check(settings, names))
    return "as they have to be"
