"""Health: whether this worker is alive, and whether it is ready.

Not alive means: restart it, it will not recover by itself. Not ready means: leave it
alone, it is on its way in or out. Neither looks at the broker or an LM: an outage of
theirs is not cured by restarting us. Where nobody probes, a worker that stays ill ends
by itself: its supervisor needs no more than an exit code.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from agents.failures import EdgeError
from agents.task import State
from agents.tasks import Held
from streams.clock import Clock

STALLED_S: Final = 60.0
"""Settlements that wait for longer than this mean a committer that hangs. Longer than
every timer of a commit together, and than an election of the broker's."""

ORPHANED_S: Final = 60.0
"""An assigned partition may lack a live task for this long. Opening tasks does not
count: a restore takes as long as its changelogs."""

GRACE_S: Final = 15.0
"""How long a worker may be ill before it ends by itself. Longer than a probe's period:
who probes reads the reason first."""


class IllError(EdgeError):
    """This worker will not recover by itself."""

    code: ClassVar[str] = "worker.ill"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(f"{'; '.join(problems)}: this worker needs a restart")


@dataclass(slots=True)
class Health:
    """Answers the probes from what the worker's parts say about themselves."""

    clock: Clock
    held: Callable[[], Iterable[Held]]
    consumer: Callable[[], Sequence[str]]
    """Why the consumer does not work; empty while it does."""
    assigned: Callable[[], set[int]]
    draining: Callable[[], bool]
    opening: Callable[[], bool]
    """While tasks are restored."""
    kafka_away: Callable[[], bool]
    """While Kafka refuses or does not answer, waiting is right."""
    started: bool = False
    """Set once the consumer has been started."""
    orphaned_since_s: float | None = None
    ill_since_s: float | None = None

    def problems(self) -> list[str]:
        """Return why this worker should be restarted; empty while it is alive."""
        if not self.started:
            return []
        problems = list(self.consumer())
        now_s = self.clock.monotonic_s()
        problems += [
            f"task {held.partition}: nothing was committed for "
            f"{now_s - held.progress_s:.0f} s"
            for held in self.held()
            if held.unsettled
            and now_s - held.progress_s > STALLED_S
            and not self.kafka_away()
        ]
        return problems + self._orphans(now_s)

    def end_if_ill(self) -> None:
        """Look at the problems; to be called every second.

        Raises:
            IllError: there have been some for ``GRACE_S``.
        """
        problems, now_s = self.problems(), self.clock.monotonic_s()
        if not problems:
            self.ill_since_s = None
        elif self.ill_since_s is None:
            self.ill_since_s = now_s
        elif now_s - self.ill_since_s > GRACE_S:
            raise IllError(problems)

    def _orphans(self, now_s: float) -> list[str]:
        live = {h.partition for h in self.held() if h.state == State.LIVE.value}
        orphans = self.assigned() - live
        if not orphans or self.draining() or self.opening() or self.kafka_away():
            self.orphaned_since_s = None
            return []
        if self.orphaned_since_s is None:
            self.orphaned_since_s = now_s
        if now_s - self.orphaned_since_s < ORPHANED_S:
            return []
        return [f"no live task for the assigned partitions {sorted(orphans)}"]

    def ready(self) -> Mapping[str, bool]:
        """Return the conditions of readiness; ready means all of them."""
        live = {h.partition for h in self.held() if h.state == State.LIVE.value}
        return {
            "started": self.started,
            "restored": self.started and self.assigned() <= live,
            "not_draining": not self.draining(),
        }
