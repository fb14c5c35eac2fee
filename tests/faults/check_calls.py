"""I7: a finished LM call is never paid again, and no call without a reason.

*Finished* is what the journal, a stage or a terminal says in a transaction that is in;
the moment is that of its marker. A call that was answered and is asked again earlier
than that was in flight, or returned and not committed. The reason for it is another
owner of its partition, whose first transaction lies between the two: a rebalance
repeats nothing on partitions that stay, and who lost one begins nothing more for it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tests.faults.history import Call, Trouble, Violation
from tests.faults.index import Index

ANSWERED: Final = 200

SLACK_MS: Final = 100
"""Between our clock and the moment at which a call was decided upon."""

LOST_ANSWERS: Final = frozenset({"descriptors"})
"""Faults, beside those of the LM, in which an answer may not reach who waits for it."""

AFTERMATH_MS: Final = 12_000
"""Session timeout, and what it takes to notice: how long a fault goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A call that was answered, and was asked again."""

    call: Call
    before: Call
    finished: bool
    """Whether its answer was committed by then."""

    @property
    def request_id(self) -> str:
        return self.call.name.split("/")[0]


def finished_calls_once(index: Index) -> Iterator[Violation]:
    """Check the whole of a history."""
    claims = _claims(index)
    partitions = {key.request_id: a.at.partition for key, a in index.first.items()}
    for repeat in repeats(index):
        moments = claims[partitions.get(repeat.request_id, -1)]
        if repeat.finished:
            yield _violation("a finished call was paid again", repeat)
        elif not any(
            repeat.before.received_ms <= at_ms <= repeat.call.received_ms
            for at_ms in moments
        ) and not during(
            index.history.troubles, repeat.call.received_ms, _may_lose_answers
        ):
            yield _violation("a call was repeated on a partition that stayed", repeat)


def repeats(index: Index) -> Iterator[Repeat]:
    """Return the calls that were asked again although they had been answered."""
    finished = _finished_ms(index)
    named: defaultdict[str, list[Call]] = defaultdict(list)
    for call in index.history.calls:
        named[call.name].append(call)
    for name, calls in named.items():
        for before, call in pairwise(calls):
            if before.status != ANSWERED and not _is_finished(finished, name, call):
                continue  # no answer: asked again, as it should be
            yield Repeat(
                call=call, before=before, finished=_is_finished(finished, name, call)
            )


def during(
    troubles: Sequence[Trouble], at_ms: int, kind: Callable[[str], bool]
) -> bool:
    """Say whether a fault of a *kind* was at work at a moment."""
    return any(
        trouble.begin_ms - SLACK_MS <= at_ms <= trouble.healed_ms + AFTERMATH_MS
        for trouble in troubles
        if kind(trouble.fault)
    )


def _may_lose_answers(fault: str) -> bool:
    return fault in LOST_ANSWERS or fault.startswith("lm-")


def _claims(index: Index) -> Mapping[int, Sequence[int]]:
    """Return when each partition got another owner."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    tokens: dict[int, str] = {}
    for position in index.history.positions:
        partition, batch = position.at.partition, index.batch(position.at)
        if batch is not None and tokens.get(partition) != position.token:
            tokens[partition] = position.token
            found[partition].append(batch.ended_ms)
    return found


def _is_finished(finished: Mapping[str, int], name: str, call: Call) -> bool:
    stage = name.rsplit("/", 1)[0]
    moments = [finished[known] for known in (name, stage) if known in finished]
    return any(call.received_ms > at_ms + SLACK_MS for at_ms in moments)


def _finished_ms(index: Index) -> Mapping[str, int]:
    """Return when calls (``r/s/0``) and stages (``r/s``) were committed first."""
    found: dict[str, int] = {}
    for write in index.history.writes:
        if write.table == "journal" and write.value is not None:
            run, entry = write.key.split(b"\0\0", 1)
            kind, _, name = entry.decode().partition("/")
            batch = index.batch(write.at)
            if kind != "h" and batch is not None:
                request_id = run.split(b"\0")[2].decode()
                found.setdefault(f"{request_id}/{name}", batch.ended_ms)
    for key, left in index.stages.items():
        for stage in left:
            batch = index.batch(stage.at)
            if batch is not None:
                found.setdefault(f"{key.request_id}/{stage.stage}", batch.ended_ms)
    return found


def _violation(what: str, repeat: Repeat) -> Violation:
    return Violation(
        invariant=7,
        what=what,
        evidence={
            "call": repeat.call.name,
            "answered_ms": repeat.before.ended_ms,
            "again_ms": repeat.call.received_ms,
        },
    )
