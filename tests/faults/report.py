"""What a campaign ends with: a table, a line for each fault, and every violation."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.faults.history import Violation

SHOWN: Final = 5
"""Violations of a kind that are printed in full; of the others there is the number."""


@dataclass(slots=True, kw_only=True)
class Injected:
    """One fault that came, and what was seen until the next one."""

    fault: str
    target: str
    seed: int
    begin_ms: int
    healed_ms: int
    answering_ms: int
    """When requests sent after it were answered on every partition."""
    next_result_ms: int = 0
    """When each partition had brought another result, whenever its request was sent."""
    requests: int = 0
    repeated: int = 0
    """LM calls that were paid twice."""
    violations: list[Violation] = field(default_factory=list)

    @property
    def recovery_s(self) -> float:
        """From the moment from which recovery was possible."""
        return (self.answering_ms - self.healed_ms) / 1_000

    @property
    def silence_s(self) -> float:
        """From the beginning until no partition was without results any more."""
        return max(0, self.next_result_ms - self.begin_ms) / 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A campaign, told."""

    seed: int
    requests: int
    injected: Sequence[Injected]
    at_the_end: Sequence[Violation]
    """Violations that only the end showed."""
    notes: Sequence[str] = ()

    @property
    def violations(self) -> Sequence[Violation]:
        """All of them, those that were seen twice once."""
        seen = [v for one in self.injected for v in one.violations]
        found = {str(v): v for v in (*seen, *self.at_the_end)}
        return tuple(found.values())

    def lines(self) -> Iterable[str]:
        """Return the report as a person reads it."""
        yield (
            f"{'fault':<22}{'times':>6}{'requests':>10}{'violations':>12}"
            f"{'repeated calls':>16}{'recovery s':>18}{'next result s':>18}"
        )
        by_fault: defaultdict[str, list[Injected]] = defaultdict(list)
        for one in self.injected:
            by_fault[one.fault].append(one)
        for fault, times in sorted(by_fault.items()):
            yield _row(fault, times)
        yield (
            f"{'all':<22}{len(self.injected):>6}{self.requests:>10}"
            f"{len(self.violations):>12}{sum(i.repeated for i in self.injected):>16}"
        )
        yield from self.notes
        yield from self._shown()
        yield f"seed {self.seed}: {len(self.violations)} violations"

    def _shown(self) -> Iterable[str]:
        kinds: defaultdict[tuple[int, str], list[Violation]] = defaultdict(list)
        for violation in self.violations:
            kinds[violation.invariant, violation.what].append(violation)
        for (invariant, what), found in sorted(kinds.items()):
            yield from map(str, found[:SHOWN])
            if len(found) > SHOWN:
                yield f"I{invariant} {what}: {len(found) - SHOWN} more"


def _row(fault: str, times: Sequence[Injected]) -> str:
    return (
        f"{fault:<22}{len(times):>6}{sum(one.requests for one in times):>10}"
        f"{sum(len(one.violations) for one in times):>12}"
        f"{sum(one.repeated for one in times):>16}"
        f"{_middle_and_most([one.recovery_s for one in times]):>18}"
        f"{_middle_and_most([one.silence_s for one in times]):>18}"
    )


def _middle_and_most(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return f"{ordered[len(ordered) // 2]:.1f} (most {ordered[-1]:.1f})"
