"""A registry elsewhere: its schemas change, it goes away, and no request is lost."""

import signal
import socket
from dataclasses import dataclass, replace
from typing import Final
from urllib.error import HTTPError

import pytest

from schemas.codec import ParsedSchema
from schemas.shapes import namespace_of
from tests.integration.eventually import eventually
from tests.integration.lab import Ask, Lab, Raw
from tests.integration.processes import WorkerProcess
from tests.integration.registering import register
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered

NOBODY: Final = ECHO.replace("pipeline: echo", "pipeline: registry")
"""Of the app whose worker is the registry: nobody asks it anything else."""


def asks_of(name: str, count: int) -> list[Ask]:
    return [
        Ask(request_id=f"{name}{i}", session_id=f"s{i % 3}", inputs={"ticket": "hello"})
        for i in range(count)
    ]


@dataclass
class Registry:
    """A registry that other workers use: a worker that does nothing else."""

    lab: Lab
    port: int
    process: WorkerProcess

    @classmethod
    def of(cls, lab: Lab) -> "Registry":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return cls(lab=lab, port=port, process=lab.worker(http_port=port).ready())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def back(self) -> None:
        """Come back after :meth:`WorkerProcess.kill`, with what was registered."""
        self.process = self.lab.worker("b", http_port=self.port).ready()


@dataclass
class Case:
    """An app whose schemas are elsewhere, and one worker of it."""

    registry: Registry
    lab: Lab
    worker: WorkerProcess

    def evolved(self, **field: object) -> ParsedSchema:
        """Register the schema of requests with one more field."""
        space = namespace_of(self.lab.prefix, "echo")
        schema = self.lab.pipelines["echo"].request_schema(space)
        newer = {**schema, "fields": [*schema["fields"], field]}
        subject = f"{self.lab.topic('echo', 'requests')}-value"
        return ParsedSchema.of(newer, ref=register(self.registry.url, subject, newer))

    def send(self, asks: list[Ask], schema: ParsedSchema | None = None) -> None:
        """Produce *asks* in *schema*, or in the worker's own."""
        topic = self.lab.topic("echo", "requests")
        self.lab.produce(
            Raw(
                topic=topic,
                value=self.lab.encoded("echo", ask, schema),
                key=ask.home.encode(),
            )
            for ask in asks
        )

    def answers(self, count: int) -> None:
        results = self.lab.tail(self.lab.topic("echo", "results"))
        answered(results, count, within_s=40)

    def check(self, asks: list[Ask]) -> None:
        """Check that *asks* were all answered, and nothing went to the dead letters."""
        verdict = Verdict.of(self.lab, "echo")
        verdict.check(asks)
        assert set(verdict.codes().values()) == {"OK"}
        assert not self.lab.tail(self.lab.topic("echo", "dlq")).all()


@pytest.fixture
def case(new_lab) -> Case:
    registry = Registry.of(new_lab({"registry": NOBODY}))
    lab = new_lab({"echo": ECHO}, registry_url=registry.url)
    return Case(registry=registry, lab=lab, worker=lab.worker().ready())


def test_producers_of_an_older_and_a_newer_schema_are_both_answered(case):
    newer = case.evolved(name="colour", type=["null", "string"], default=None)
    asks = asks_of("r", 30)
    shades = [
        replace(ask, fields={"colour": "red"} if i % 2 else {})
        for i, ask in enumerate(asks)
    ]
    for i, ask in enumerate(shades):
        case.send([ask], newer if i % 2 else None)
    case.answers(30)
    case.check(asks)


def test_a_schema_that_old_readers_cannot_read_is_refused_by_the_registry(case):
    with pytest.raises(HTTPError, match="409"):
        case.evolved(name="colour", type="string")


def test_while_the_registry_is_away_known_schemas_work_and_new_ones_wait(case):
    newer = case.evolved(name="colour", type=["null", "string"], default=None)
    first, second, third = (asks_of(name, 12) for name in "abc")
    case.send(first)
    case.answers(12)
    case.registry.process.kill()
    case.send(second)
    case.answers(24)
    case.send(third, newer)
    eventually(
        lambda: case.worker.events("registry.away"), within_s=20, what="a question"
    )
    assert len(case.lab.tail(case.lab.topic("echo", "results")).all()) == 24
    case.registry.back()
    case.answers(36)
    case.check([*first, *second, *third])


def test_a_registry_that_says_nothing_holds_up_new_schemas_only(case):
    newer = case.evolved(name="colour", type=["null", "string"], default=None)
    late, known = (
        asks_of("late", 1),
        [replace(ask, session_id=f"other{ask.request_id}") for ask in asks_of("k", 40)],
    )
    case.registry.process.send(signal.SIGSTOP)
    case.send(known)
    case.answers(40)
    case.send(late, newer)
    case.registry.process.send(signal.SIGCONT)
    case.answers(41)
    case.check([*known, *late])


def test_a_worker_whose_registry_is_away_says_so_and_ends(new_lab, unused_tcp_port):
    lab = new_lab({"echo": ECHO}, registry_url=f"http://127.0.0.1:{unused_tcp_port}")
    worker = lab.worker()
    assert worker.wait(60) != 0
    assert str(unused_tcp_port) in worker.last_words()
