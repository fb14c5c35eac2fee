"""The stage records of a run: numbered, and emitted as soon as waiting would cost.

    stage ended ──► held ──► another begins, ends, or is under way ──► emitted
                      │
                      └────► the run ends ──► settles with the terminal

What holds: sequence numbers are given in the order in which records are emitted, each
once, and each with a journal entry that keeps it. So there is no gap between workers.
"""

from schemas.records import StageResult
from streams.clock import Clock
from streams.planned import PlannedStage
from streams.running.run_journal import RunJournal
from streams.running.run_records import Ended, Moment, RunRecords
from streams.running.values import Hole


class RunProgress:
    """Emits the stage records of one run, in the order of their numbers."""

    __slots__ = (
        "_clock",
        "_held",
        "_journal",
        "_records",
        "_says_all",
        "_under_way",
        "sequence",
    )

    def __init__(
        self, journal: RunJournal, records: RunRecords, clock: Clock, *, says_all: bool
    ) -> None:
        self._journal = journal
        self._records = records
        self._clock = clock
        self._says_all = says_all
        self._held: StageResult | None = None
        self._under_way = 0
        self.sequence = journal.sequence
        """Of the last record."""

    def begin(self, planned: PlannedStage, path: str, *, in_time: bool) -> None:
        """A stage begins, if it is *in_time*: what ended before it is saved."""
        self.flush()
        self._under_way += 1
        if self._says_all and in_time:
            attempt = self._journal.attempt
            event = self._records.started(planned, path, attempt, self._moment())
            self._journal.emit_event(event)

    def stop(self) -> None:
        """A stage is no longer under way; its end may follow."""
        self._under_way -= 1

    def ended(self, ended: Ended) -> None:
        """A stage ended, with outputs or with a failure."""
        if ended.end.attempts:
            # Else the deadline had passed before it began.
            self._publish(self._records.of_stage(ended, self._next()))

    def skipped(self, planned: PlannedStage, path: str, hole: Hole) -> None:
        """A stage is not run: one of its inputs is a hole."""
        if self._journal.finished(planned, path) is None:
            moment = self._moment()
            self._publish(self._records.skipped(planned, path, hole.error, moment))

    def told_of(self, name: str) -> int:
        """Return how many elements of the map *name* earlier workers may have told of.

        At most that: those that were under way count as well.
        """
        return self._journal.begun(name) if self._says_all else 0

    def percent(self, path: str, *, ended: int, of: int) -> None:
        """One more element of a map, or iteration of a loop, ended."""
        percent = 100 * ended // of
        if self._says_all and percent != 100 * (ended - 1) // of:
            self.flush()
            event = self._records.percent(path, percent, self._moment())
            self._journal.emit_event(event)

    def flush(self) -> None:
        """Emit what is held: from here on the end may be far."""
        if self._held is not None:
            self._journal.emit_stage(self._held)
            self._held = None

    def goes_on(self) -> None:
        """The run goes on after what ended: emit it if something else is awaited."""
        if self._under_way:
            self.flush()

    def last(self) -> StageResult | None:
        """Return what is still held: it settles with the terminal."""
        return self._held

    def _publish(self, record: StageResult) -> None:
        self.flush()
        self._held = record

    def _moment(self) -> Moment:
        return Moment(sequence=self._next(), at_ms=self._clock.now_ms())

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence
