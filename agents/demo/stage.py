"""The demo's stage: settings, topics and folders of its own, gone when it is over."""

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiokafka.errors import KafkaError

from agents.failures import BrokerUnreachableError, DemoFilesError
from agents.kafka_admin import admin_of
from agents.provisioning import provision
from agents.topics import wanted
from streams.config import PREFIX, Settings

PIPELINE: Final = "support"
PIPELINE_FILE: Final = Path("pipelines/support.yaml")

DRAIN_S: Final = 5.0
"""Below the ten seconds that a guardian gives its process to stop."""


class DemoStage:
    """What a demo has to itself: a name, and all that carries it."""

    def __init__(
        self, env: Mapping[str, str], bootstrap: str, cache: Path, *, strike: bool
    ) -> None:
        """Prepare a demo on the broker at *bootstrap*, with files below *cache*.

        *strike* says whether the topics are deleted in the end: a broker that is the
        demo's own takes them with it.
        """
        self.name = f"demo-{secrets.token_hex(4)}"
        self.log = cache / "demo" / f"{self.name}.log"
        """What the worker says; kept if the demo fails."""
        self._folder = cache / "demo" / self.name
        self._strike = strike
        self.env = {**env, **self._own(env, bootstrap)}
        """Of the worker: what the user set, and above it what is the demo's."""
        self.settings = Settings.from_env(self.env)

    def __enter__(self) -> Self:
        """Make folders and topics.

        Raises:
            DemoFilesError: the current folder is no checkout.
            TopicError: the broker refuses topics.
        """
        if not PIPELINE_FILE.exists():
            raise DemoFilesError(PIPELINE_FILE)
        (self._folder / "pipelines").mkdir(parents=True)
        try:
            # This one alone: others may need what is not here, such as keys.
            shutil.copy(PIPELINE_FILE, self._folder / "pipelines")
            asyncio.run(provision(self.settings, [PIPELINE]))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if not isinstance(error, Exception):
            self.log.unlink(missing_ok=True)
        if self._strike:
            # A broker that is gone says so in the error that ends the demo.
            with contextlib.suppress(BrokerUnreachableError, KafkaError):
                asyncio.run(self._delete_topics())

    def _own(self, env: Mapping[str, str], bootstrap: str) -> dict[str, str]:
        code_paths = [env.get(f"{PREFIX}CODE_PATHS", ""), str(Path.cwd())]
        own = {
            "app": "demo",
            "bootstrap": bootstrap,
            "code_paths": ":".join(filter(None, code_paths)),
            "drain_s": str(DRAIN_S),
            "http_port": "0",
            "instance": "",
            "pipelines_dir": str(self._folder / "pipelines"),
            "prefix": self.name,
            "state_dir": str(self._folder / "state"),
        }
        return {PREFIX + setting.upper(): value for setting, value in own.items()}

    async def _delete_topics(self) -> None:
        names = [spec.name for spec in wanted(self.settings, [PIPELINE])]
        async with admin_of(self.settings.bootstrap) as admin:
            await admin.delete_topics(names)
