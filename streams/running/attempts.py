"""One stage of one run: try it, within its budget, as often as its policy allows."""

import asyncio
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from zlib import crc32

from msgspec import Struct, field

from schemas.records import Usage
from streams.calls import NO_USAGE, StageCalls
from streams.cancellation import we_are_cancelled
from streams.errors import (
    DeadlineError,
    StageBugError,
    StageError,
    StageOutputError,
    StageTimeoutError,
    StreamsError,
)
from streams.metrics import Recorder
from streams.patience import PatientTimeout
from streams.planned import PlannedStage
from streams.signatures.validate import sentence
from streams.stage import Fields, RunContext, StageOutcome


class StageEnd(Struct, frozen=True, kw_only=True):
    """How a stage ended: with outputs, or with the error of its last attempt."""

    attempts: int
    """Answers it took. 0: the deadline had passed before the first."""
    usage: Usage
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: StreamsError | None = None


async def perform(
    planned: PlannedStage,
    fields: Fields,
    run: RunContext,
    calls: StageCalls,
    recorder: Recorder,
) -> StageEnd:
    """Run the stage until it ends. Raises nothing but ``CancelledError``."""
    attempt = 0
    while True:
        if not calls.purse.permit.granted():
            await calls.purse.permit.wait()
        if time_left_s(run) <= 0:
            late = _late(planned, run)
            return StageEnd(attempts=attempt, usage=calls.purse.usage, error=late)
        was_up = _is_up(planned)
        try:
            outputs, used = await _once(planned, fields, run, calls)
        except StreamsError as failed:
            # Its traceback holds this frame, which would hold it: a ring, with the
            # request in it. What caused it keeps its own.
            error = failed.with_traceback(None)
        else:
            _count(recorder, planned, "")
            # What a stage asked through its calls is counted there, failed attempts
            # included; only a stage with means of its own reports what it used.
            usage = used if calls.purse.usage is NO_USAGE else calls.purse.usage
            return StageEnd(attempts=attempt + 1, usage=usage, outputs=outputs)
        _count(recorder, planned, error.code)
        delay_s: float | None = 0.0
        # Attempts count answers, not outages: while the LM is down nobody answers,
        # and the request waits on until its deadline.
        if (was_up and _is_up(planned)) or not isinstance(error, StageTimeoutError):
            attempt += 1
            delay_s = _delay_s(planned, run, attempt, error, calls.site)
        if delay_s is None:
            return StageEnd(attempts=attempt, usage=calls.purse.usage, error=error)
        calls.fail(burn=isinstance(error, StageOutputError))
        await run.clock.sleep(delay_s)


async def _once(
    planned: PlannedStage, fields: Fields, run: RunContext, calls: StageCalls
) -> tuple[dict[str, Any], Usage]:
    """Answer once: clean outputs, and what the stage says that it used.

    Raises:
        StageError: the attempt failed; ``StageBugError`` if the error is not ours.
        DeadlineError: the time of the request ran out meanwhile.
    """
    try:
        outcome = await _within_budget(planned, fields, run, calls)
        outputs, problems = planned.check(outcome.outputs)
    except (StageError, DeadlineError):
        raise
    except asyncio.CancelledError as error:
        if we_are_cancelled():
            raise
        # Nobody cancelled us: code of the stage let its own cancellation escape.
        raise StageBugError(planned.name, error) from error
    except (Exception, SystemExit) as error:
        # The one broad except of a run: whatever it is, it is not ours.
        raise StageBugError(planned.name, error) from error
    if problems:
        raise StageOutputError(planned.name, sentence(problems))
    return outputs, outcome.usage


async def _within_budget(
    planned: PlannedStage, fields: Fields, run: RunContext, calls: StageCalls
) -> StageOutcome:
    """Call the stage with what its timeout and the deadline leave it."""
    left_s = time_left_s(run)
    timeout_s = math.inf if planned.timeout_s is None else planned.timeout_s
    if left_s == timeout_s == math.inf:
        return await planned.stage(fields, run)
    budget = Budget(timeout_s=timeout_s, left_s=left_s)
    calls.purse.queued = budget.paused
    try:
        async with budget.scope:
            return await planned.stage(fields, run)
    except TimeoutError:
        if not budget.scope.expired():
            raise
        if time_left_s(run) <= 0 or left_s <= timeout_s:
            raise _late(planned, run) from None
        raise StageTimeoutError(planned.name, timeout_s) from None


class Budget:
    """The time of one attempt. It stands still while a call waits for a slot.

    A stage's timeout bounds its LM's answer, not the queue in front of it: more runs
    than slots would otherwise turn a busy hour into errors. The request's deadline
    goes on: it is a moment, not a budget.
    """

    def __init__(self, *, timeout_s: float, left_s: float) -> None:
        self.scope = PatientTimeout(min(timeout_s, left_s))
        self._loop = asyncio.get_running_loop()
        self._deadline = None if left_s == math.inf else self._loop.time() + left_s
        self._waiting = 0
        self._kept_s: float | None = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the timeout stand still inside the block; blocks may overlap."""
        if not self._waiting:
            self._pause()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._go_on()

    def _pause(self) -> None:
        due = self.scope.when()
        self._kept_s = None if due is None else due - self._loop.time()
        if not self.scope.expired():
            self.scope.reschedule(self._deadline)

    def _go_on(self) -> None:
        if self._kept_s is not None and not self.scope.expired():
            self.scope.reschedule(self._sooner(self._loop.time() + self._kept_s))

    def _sooner(self, due: float) -> float:
        return due if self._deadline is None else min(due, self._deadline)


def time_left_s(run: RunContext) -> float:
    """Return the seconds until the deadline of the request; infinite without one."""
    if run.deadline_ms is None:
        return math.inf
    return (run.deadline_ms - run.clock.now_ms()) / 1_000


def _late(planned: PlannedStage, run: RunContext) -> DeadlineError:
    late_ms = -round(time_left_s(run) * 1_000)
    return DeadlineError(planned.name, max(0, late_ms))


def _is_up(planned: PlannedStage) -> bool:
    return planned.lm is None or planned.lm.available()


def _delay_s(
    planned: PlannedStage,
    run: RunContext,
    attempt: int,
    error: StreamsError,
    site: str,
) -> float | None:
    if not error.retryable:
        return None
    if isinstance(error, StageOutputError):
        # The LM is well, and waiting does not improve its answers.
        return 0.0 if attempt < planned.retry.attempts else None
    return planned.retry.delay_after(
        attempt,
        left_s=time_left_s(run),
        jitter=_jitter(f"{run.request_id}/{site}/{attempt}"),
        asked_s=error.retry_after_s if isinstance(error, StageError) else None,
    )


def _count(recorder: Recorder, planned: PlannedStage, code: str) -> None:
    recorder.count("penstock_stage_attempts_total", 1, **planned.labels, code=code)


def _jitter(seed: str) -> float:
    """Return 0 to 1, spread over requests and yet the same in every replay."""
    return crc32(seed.encode()) / 2**32
