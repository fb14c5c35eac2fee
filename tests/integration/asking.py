"""A lab whose pipeline asks an LM twice for each request, under load."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.integration.lab import Ask, Lab
from tests.integration.lms import ThreadedLM
from tests.integration.reading import Tail
from tests.integration.texts import ask_text
from tests.integration.verdict import Verdict, answered

SESSIONS: Final = 80
CALL_MS: Final = 150.0
RUNNING: Final = 16


@dataclass(frozen=True)
class Asking:
    """A pipeline of two stages, the LM that both ask, and what was asked so far."""

    lab: Lab
    lm: ThreadedLM
    results: Tail
    asks: list[Ask] = field(default_factory=list)

    def load(self, count: int) -> None:
        """Produce *count* more requests, in sessions that go on."""
        begin = len(self.asks)
        self.asks.extend(
            Ask(
                request_id=f"r{i}",
                session_id=f"s{i % SESSIONS}",
                inputs={"ticket": f"my invoice {i} is wrong"},
            )
            for i in range(begin, begin + count)
        )
        self.lab.send("ask", self.asks[begin:])

    def answers(self, *, but: int = 0, within_s: float = 60) -> None:
        """Wait until all requests are answered *but* so many."""
        answered(self.results, len(self.asks) - but, within_s=within_s)

    def finished(self) -> set[str]:
        """Return the calls whose stage is committed."""
        values = [
            self.lab.decode("ask", "stages", seen)
            for seen in self.lab.tail(self.lab.topic("ask", "stages")).all()
        ]
        return {f"{value['request_id']}/{value['stage']}/0" for value in values}

    def check(self) -> None:
        """Check that everybody was answered, once, in order, with the right state."""
        verdict = Verdict.of(self.lab, "ask")
        verdict.check(self.asks)
        assert set(verdict.codes().values()) == {"OK"}


@contextmanager
def asking(
    new_lab: Callable[..., Lab], folder: Path, **settings: object
) -> Iterator[Asking]:
    """Make a lab and the LM that its pipeline asks."""
    with ThreadedLM(folder / "lm.log", latency_ms=CALL_MS) as lm:
        settings.setdefault("max_running", RUNNING)
        lab = new_lab({"ask": ask_text(lm.url)}, **settings)
        yield Asking(lab, lm, lab.tail(lab.topic("ask", "results")))
