"""A lab whose pipeline asks an LM and calls tools, and what a death may cost it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.integration.eventually import eventually
from tests.integration.every_text import ENRICH, saved_program
from tests.integration.finished import Finished
from tests.integration.lab import Ask, Lab
from tests.integration.lms import ThreadedLM
from tests.integration.processes import WorkerProcess
from tests.integration.reading import Tail
from tests.integration.stage_records import StageRecords
from tests.integration.tool_turns import ToolTurns
from tests.integration.town import Town
from tests.integration.verdict import Verdict, answered

RUNNING: Final = 16
INSTANCE: Final = "one"
"""A static member: who comes back under its name need not wait for its session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """What had been asked when a worker died, and what of it was committed."""

    asked: Counter[str]
    booked: Counter[str]
    finished: Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Paying:
    """A pipeline, the LM that it asks, the book of its tools, and its requests."""

    lab: Lab
    pipeline: str
    lm: ThreadedLM
    book: Path
    results: Tail
    asks: list[Ask] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)

    def worker(self) -> WorkerProcess:
        """Start the worker, for the first time or again."""
        return self.lab.worker(instance=INSTANCE).ready()

    def load(self, asks: Sequence[Ask]) -> None:
        """Produce *asks*."""
        self.asks.extend(asks)
        self.lab.send(self.pipeline, asks)

    def answers(self, within_s: float = 120) -> None:
        """Wait until all requests are answered."""
        answered(self.results, len(self.asks), within_s=within_s)

    def calls(self, count: int) -> None:
        """Wait until the LM was asked so often."""
        eventually(
            lambda: self.lm.asked().total() >= count,
            within_s=60,
            what=f"{count} calls",
        )

    def kill(self, worker: WorkerProcess) -> Death:
        """Kill *worker*; return what is finished now."""
        worker.kill()
        self.deaths.append(self.now())
        return self.deaths[-1]

    def now(self) -> Death:
        """Return what is asked and committed; nobody may be committing meanwhile."""
        finished = Finished.of(self.lab, self.pipeline)
        return Death(asked=self.lm.asked(), booked=self.booked(), finished=finished)

    def booked(self) -> Counter[str]:
        """Return how often each tool call was made, ``request/turn``."""
        return Counter(self.book.read_text().split() if self.book.exists() else ())

    def check_paid_once(self) -> None:
        """Nothing that was finished at a death was asked or called again."""
        for death in self.deaths:
            asked = (self.lm.asked() - death.asked).keys()
            again = death.finished.of_these(asked)
            assert not again, f"finished calls were paid again: {sorted(again)[:10]}"
            booked = self.booked() - death.booked
            again = {call for call in booked if death.finished.has_told(call)}
            assert not again, f"finished tools were called again: {sorted(again)[:10]}"

    def check_settled_once(self) -> tuple[Verdict, StageRecords]:
        """Each request has one terminal, and its records are whole."""
        verdict = Verdict.of(self.lab, self.pipeline)
        verdict.check(self.asks)
        records = StageRecords.of(self.lab, self.pipeline)
        for terminal in verdict.terminals:
            records.check_numbers(terminal.value)
            if self.lab.pipelines[self.pipeline].progress == "all":
                records.check_events(terminal.request_id)
        return verdict, records


@contextmanager
def paying(
    new_lab: Callable[..., Lab],
    folder: Path,
    *,
    text: str,
    tools: Sequence[str] = (),
    latency_ms: float,
) -> Iterator[Paying]:
    """Make a lab with the pipeline *text*, and the LM that calls *tools* in turn."""
    with (
        Town() as town,
        ThreadedLM(folder / "lm.log", ToolTurns(tools), latency_ms=latency_ms) as lm,
    ):
        where = {"api_base": lm.url, "town": f"http://{town.host}"}
        name = text.split()[1]
        lab = new_lab(
            {name: text.format(**where), "enrich": ENRICH.format(**where)},
            {"programs/team.json": saved_program()},
            code_modules="everycode",
            http_hosts=town.host,
            max_running=RUNNING,
        )
        results = lab.tail(lab.topic(name, "results"))
        book = folder / "book"
        yield Paying(lab=lab, pipeline=name, lm=lm, book=book, results=results)
