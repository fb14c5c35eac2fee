"""The demo's count: which requests got their one result, and which did not."""

from collections import Counter
from dataclasses import dataclass, field

from schemas.records import Result


@dataclass(slots=True)
class Tally:
    """Requests out, results in. Mutable: it counts."""

    sent: set[str] = field(default_factory=set)
    """Request ids."""
    results: Counter[str] = field(default_factory=Counter)
    """How many results each request id got."""
    dead_letters: int = 0

    def take(self, result: Result) -> None:
        """Count *result*."""
        self.results[result.request_id] += 1

    @property
    def missing(self) -> int:
        """Requests without a result."""
        return len(self.sent - self.results.keys())

    @property
    def duplicates(self) -> int:
        """Results beyond the one that a request gets."""
        return sum(self.results.values()) - len(self.results)

    @property
    def right(self) -> bool:
        """Whether each request got one result, and nothing else came."""
        return not self.dead_letters and self.results == Counter(list(self.sent))

    def summary(self) -> str:
        """Return all of it on one line."""
        return (
            f"demo: requests={len(self.sent)} results={self.results.total()} "
            f"missing={self.missing} duplicates={self.duplicates} "
            f"dead_letters={self.dead_letters}"
        )
