"""The journal from inside a run: what it need not do again, and what it has done."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from schemas.records import StageResult
from streams.errors import DeadlineError
from streams.journal import CallEntry, Entry, Journal, RunHeader, StageEntry
from streams.metrics import Recorder
from streams.plan import Pipeline
from streams.planned import PlannedStage
from streams.settlement import Progress


class RunJournal:
    """Reads the entries of earlier workers, and emits new ones as progress.

    Entries of another pipeline, by fingerprint, are dropped and counted. The first
    progress carries a header, so that the next worker can tell whose they are.
    """

    __slots__ = (
        "_attempt",
        "_emit",
        "_emitted",
        "_old",
        "_pipeline",
        "began_ms",
        "sequence",
    )

    def __init__(
        self,
        journal: Journal,
        pipeline: Pipeline,
        emit: Callable[[Progress], None],
        recorder: Recorder,
        *,
        now_ms: int,
    ) -> None:
        self._pipeline = pipeline
        self._emit = emit
        self._emitted = False
        self.sequence = journal.sequence
        """Of the last stage record that an earlier worker settled."""
        header = journal.header
        self._attempt = 1 if header is None else header.attempt + 1
        if header is not None and header.fingerprint == pipeline.fingerprint:
            self._old = journal
            # A resumed run goes on from when it first began: what depends on the
            # moment, such as whether its session had expired, must not change.
            self.began_ms = header.started_ms
            return
        self._old = Journal()
        self.began_ms = now_ms
        if journal != self._old:
            recorder.count("penstock_journal_dropped_total", pipeline=pipeline.name)

    @property
    def attempt(self) -> int:
        """Which worker this is that took the run up, from 1."""
        return self._attempt

    @property
    def calls(self) -> Mapping[tuple[str, int], CallEntry]:
        """The finished LM calls of unfinished stages."""
        return self._old.calls

    def finished(self, planned: PlannedStage, path: str) -> StageEntry | None:
        """Return the entry of a stage that need not run again.

        Its outputs are as the stage left them.
        """
        entry = self._old.stages.get(path)
        if entry is None or entry.fingerprint != self._pipeline.fingerprint:
            return None
        if entry.error is not None and entry.error.code == DeadlineError.code:
            # The deadline is as it was, and will say so itself.
            return None
        if entry.version != planned.stage.version:
            return None
        if entry.error is not None:
            return entry
        # Entries hold JSON: dates and the like are made of it again. What a bound
        # refuses that is in no schema was left by another state of the file.
        outputs, problems = planned.check(entry.outputs)
        return None if problems else replace(entry, outputs=outputs)

    def begun(self, name: str) -> int:
        """Return of how many elements of the map *name* there are entries."""
        elements = set()
        for path in self._old.stages:
            if path.startswith(f"{name}/"):
                elements.add(path[len(name) + 1 :].partition("/")[0])
        return len(elements)

    def emit(self, entries: tuple[Entry, ...]) -> None:
        """Emit finished LM calls of a stage that is not finished."""
        self._emit(Progress(entries=self._headed(entries)))

    def emit_stage(self, record: StageResult) -> None:
        """Emit a stage that ended: its record, and the entry that stands for it."""
        entry = StageEntry(
            site=record.path,
            sequence=record.sequence,
            version=record.version,
            fingerprint=self._pipeline.fingerprint,
            outputs=record.outputs or {},
            usage=record.usage,
            started_ms=record.started_ms,
            duration_ms=record.duration_ms,
            attempts=record.attempts,
            error=record.error,
        )
        self._emit(
            Progress(
                entries=self._headed((entry,)),
                stage=record,
                instead=(self._header(record.sequence),),
            )
        )

    def emit_event(self, record: StageResult) -> None:
        """Emit a record that no entry stands for: the header keeps its sequence."""
        self._emitted = True
        entries = (self._header(record.sequence),)
        self._emit(Progress(entries=entries, stage=record))

    def _headed(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        if self._emitted:
            return entries
        self._emitted = True
        return (self._header(self.sequence), *entries)

    def _header(self, sequence: int) -> RunHeader:
        return RunHeader(
            pipeline_version=self._pipeline.version,
            fingerprint=self._pipeline.fingerprint,
            started_ms=self.began_ms,
            attempt=self._attempt,
            sequence=sequence,
        )
