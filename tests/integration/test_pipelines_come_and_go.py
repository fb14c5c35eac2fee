"""A pipeline that was taken away and comes back goes on where it was."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agents.exit_codes import ExitCode
from tests.integration.lab import PARTITIONS, Ask, Lab
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered

OTHER = ECHO.replace("pipeline: echo", "pipeline: other")


@dataclass
class Guest:
    """An app whose pipeline `other` comes and goes; `echo` stays."""

    lab: Lab
    asks: list[Ask] = field(default_factory=list)

    @property
    def without(self) -> Path:
        """The folder of the pipelines that stay."""
        folder = self.lab.folder / "without"
        if not folder.exists():
            folder.mkdir()
            shutil.copy(self.lab.folder / "pipelines" / "echo.yaml", folder)
        return folder

    def ask(self) -> None:
        """Send requests to the guest, some to each partition."""
        begin = len(self.asks)
        self.asks += [
            Ask(request_id=f"r{i}", session_id=None, inputs={"ticket": "x"})
            for i in range(begin, begin + 10 * PARTITIONS)
        ]
        self.lab.send("other", self.asks[begin:])

    def at_work(self, folder: Path | None = None) -> None:
        """Let a worker with the pipelines of *folder*, or with all, answer all."""
        worker = self.lab.worker(pipelines_dir=folder or self.lab.folder / "pipelines")
        worker.ready()
        if folder is None:
            results = self.lab.tail(self.lab.topic("other", "results"))
            answered(results, len(self.asks), within_s=30)
        assert worker.terminate() == ExitCode.DONE


@pytest.fixture
def guest(new_lab: Callable[..., Lab]) -> Guest:
    """Return an app whose guest has answered requests, and is gone."""
    guest = Guest(new_lab({"echo": ECHO, "other": OTHER}))
    guest.ask()
    guest.at_work()
    guest.at_work(guest.without)
    return guest


def test_a_pipeline_that_comes_back_answers_what_came_meanwhile_and_nothing_again(
    guest: Guest,
):
    guest.ask()
    guest.at_work(guest.without)
    guest.at_work()
    Verdict.of(guest.lab, "other").check_once(guest.asks)


def test_a_topic_that_was_recreated_while_its_pipeline_was_away_is_refused(
    guest: Guest,
):
    topic = guest.lab.topic("other", "requests")
    guest.lab.recreate(topic)
    worker = guest.lab.worker()
    assert worker.wait(within_s=40) == ExitCode.FAILED
    assert f"{topic}: deleted and made again" in worker.last_words()
