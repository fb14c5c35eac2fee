"""A real Kafka broker on this machine, for tests, the demo and development.

States: *stopped* (data in its folder, no process) → ``resume`` → *ready* (its
coordinators answer) → ``stop`` or ``kill`` → *stopped* → ``close`` → *gone* (no data).
``release`` lets a ready broker outlive us. Until then a guardian holds it: whatever
ends this process, kill -9 included, ends the broker.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agents.broker import guardian
from agents.broker.coordinators import coordinators_answer
from agents.broker.folders import new_folder
from agents.broker.identity import free_identity, is_free
from agents.broker.installation import Installation
from agents.broker.properties import LOG4J, BrokerOptions, Identity, server_properties
from agents.failures import BrokerSlowError, BrokerStartError, PortTakenError
from streams.clock import SystemClock

START_ATTEMPTS: Final = 3  # a free port may be taken before Kafka binds it
LOOK_EVERY_S: Final = 0.05
FORMAT_HEAP_MB: Final = 128
FORMAT_WITHIN_S: Final = 60.0


class DevBroker:
    """One broker, its data folder and its process."""

    def __init__(
        self,
        installation: Installation,
        folder: Path,
        options: BrokerOptions,
        identity: Identity,
    ) -> None:
        self.folder = folder
        self.identity = identity
        self.pid = 0
        self._installation = installation
        self._options = options
        self._guard: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        installation: Installation,
        options: BrokerOptions | None = None,
        *,
        folder: Path | None = None,
    ) -> Self:
        """Start a new broker with empty data and return it once it is ready.

        Its data go to *folder*, which must not exist, or one of its own in the cache.

        Raises:
            BrokerStartError: with what Kafka said last.
        """
        options = options or BrokerOptions()
        for attempt in range(1, START_ATTEMPTS + 1):
            home = folder or new_folder(installation.cache)
            home.mkdir(parents=True, exist_ok=True)
            broker = cls(installation, home, options, free_identity(options))
            try:
                broker._format()
                broker.resume()
            except BaseException as error:
                broker.close()
                lost_its_port = isinstance(error, PortTakenError) and not options.port
                if attempt < START_ATTEMPTS and lost_its_port:
                    continue
                raise
            return broker
        raise AssertionError  # the loop returns or raises

    @property
    def bootstrap(self) -> str:
        """The address for ``PENSTOCK_BOOTSTRAP``; stays the same over restarts."""
        return f"127.0.0.1:{self.identity.direct}"

    @property
    def proxied_port(self) -> int | None:
        """The port that a proxy in front of the broker forwards to."""
        return self.identity.proxied

    @property
    def log(self) -> str:
        """What Kafka wrote so far."""
        path = self.folder / "broker.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def resume(self) -> None:
        """Start on the same port and data as before; return once ready.

        Raises:
            PortTakenError: somebody else listens there by now.
            BrokerStartError: with what Kafka said last.
        """
        # Asked first: Kafka takes seconds to find out, and says it in Java.
        for port in self.identity.ports:
            if not is_free(port):
                raise PortTakenError(port)
        try:
            self._spawn()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process (SIGTERM, then SIGKILL), keep the data. Idempotent."""
        guard, self._guard, self.pid = self._guard, None, 0
        if guard is None:
            return
        # The guardian ends the broker once its stdin closes.
        for pipe in (guard.stdin, guard.stdout):
            if pipe:
                pipe.close()
        guard.wait()

    def kill(self) -> None:
        """End the process as a crash would (SIGKILL), keep the data."""
        # Not a reused pid: the guardian reaps it only after we are told.
        if self._guard and self._guard.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def close(self) -> None:
        """End the process and delete the data. Idempotent."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Let the running broker outlive this process; ``process.end`` stops it."""
        guard, self._guard = self._guard, None
        if guard is None or guard.stdin is None or guard.stdout is None:
            return
        guard.stdin.write(b"r")
        guard.stdin.close()
        guard.stdout.close()
        guard.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _format(self) -> None:
        properties = self.folder / "server.properties"
        properties.write_text(
            server_properties(self.folder, self.identity, self._options)
        )
        (self.folder / "log4j2.properties").write_text(LOG4J)
        # Never a leading dash: the tool would take it for an option.
        cluster_id = "P" + secrets.token_urlsafe(16)[1:]
        command = self._installation.command(
            "kafka.tools.StorageTool",
            *("format", "--standalone", "-t", cluster_id, "-c", str(properties)),
            heap_mb=FORMAT_HEAP_MB,
        )
        done = subprocess.run(  # noqa: S603 - our own command line
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FORMAT_WITHIN_S,
            check=False,
        )
        if done.returncode:
            raise BrokerStartError(done.stdout)

    def _spawn(self) -> None:
        command = self._installation.command(
            "kafka.Kafka",
            str(self.folder / "server.properties"),
            heap_mb=self._options.heap_mb,
        )
        log4j = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        command.insert(1, log4j)
        with (self.folder / "broker.log").open("ab") as log:
            self._guard = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-I", "-S", guardian.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C in a terminal must not end the broker before its user.
                start_new_session=True,
            )
        if self._guard.stdout is None or not (line := self._guard.stdout.readline()):
            raise BrokerStartError(self.log)
        self.pid = int(line)

    def _ended(self) -> BrokerStartError:
        if "Address already in use" in self.log:
            return PortTakenError(self.identity.direct, self.log)
        return BrokerStartError(self.log)

    def _wait_until_ready(self) -> None:
        clock = SystemClock()
        give_up_s = clock.monotonic_s() + self._options.ready_within_s
        while not coordinators_answer(self.identity.direct, self.identity.node_id):
            if self._guard is None or self._guard.poll() is not None:
                raise self._ended()
            if clock.monotonic_s() > give_up_s:
                raise BrokerSlowError(self._options.ready_within_s, self.log)
            time.sleep(LOOK_EVERY_S)
