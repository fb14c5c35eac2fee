"""A lab whose pipeline asks an LM twice for each request, under load."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.integration.lab import Ask, Lab
from tests.integration.lms import ThreadedLM
from tests.integration.texts import ask_text
from tests.integration.verdict import Verdict, answered

SESSIONS: Final = 80
CALL_MS: Final = 150.0
RUNNING: Final = 16


@dataclass(frozen=True)
class Asking:
    """A pipeline of two stages, the LM that both ask, and what is asked."""

    lab: Lab
    lm: ThreadedLM
    asks: list[Ask]

    @property
    def count(self) -> int:
        return len(self.asks)

    def load(self) -> None:
        """Produce all requests."""
        self.lab.send("ask", self.asks)

    def answers(self, count: int | None = None, *, within_s: float = 60) -> None:
        """Wait until *count* requests are answered, or all."""
        results = self.lab.tail(self.lab.topic("ask", "results"))
        answered(results, self.count if count is None else count, within_s=within_s)

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
    new_lab: Callable[..., Lab], folder: Path, *, requests: int, **settings: object
) -> Iterator[Asking]:
    """Make a lab with *requests* to ask, and its LM."""
    with ThreadedLM(folder / "lm.log", latency_ms=CALL_MS) as lm:
        settings.setdefault("max_running", RUNNING)
        lab = new_lab({"ask": ask_text(lm.url)}, **settings)
        asks = [
            Ask(
                request_id=f"r{i}",
                session_id=f"s{i % SESSIONS}",
                inputs={"ticket": f"my invoice {i} is wrong"},
            )
            for i in range(requests)
        ]
        yield Asking(lab, lm, asks)
