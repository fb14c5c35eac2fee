"""I6: each terminal comes with the complete prefix of its stage records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.faults.history import StageLeft, Terminal, Violation
from tests.faults.index import Index

Stages = Mapping[str, Sequence[str]]


def prefixes(
    index: Index, terminals: Iterable[Terminal], stages: Stages
) -> Iterator[Violation]:
    """Check *terminals*; their stage records must have been read."""
    for terminal in terminals:
        left = index.stages.get(terminal.key, [])
        what = _wrong(terminal, left, stages[terminal.key.pipeline])
        if not what and any(index.is_later(stage.at, terminal.at) for stage in left):
            what = "a stage record was committed after its terminal"
        if what:
            yield Violation(
                invariant=6,
                what=what,
                evidence={
                    "request": terminal.key,
                    "at": str(terminal.at),
                    "status": f"{terminal.status} {terminal.code}".strip(),
                    "stages": [(s.sequence, s.stage, str(s.at)) for s in left],
                },
            )


def stages_complete(index: Index, stages: Stages) -> Iterator[Violation]:
    """Check the whole of a history, and that no stage record is left alone."""
    firsts = [found[0] for found in index.terminals.values()]
    yield from prefixes(index, firsts, stages)
    for key, left in index.stages.items():
        if key not in index.terminals:
            yield Violation(
                invariant=6,
                what="stage records of a request without a terminal",
                evidence={"request": key, "at": str(left[0].at)},
            )


def _wrong(terminal: Terminal, left: Sequence[StageLeft], wanted: Sequence[str]) -> str:
    sequences = [stage.sequence for stage in left]
    if sequences != list(range(1, len(left) + 1)):
        return "stage records are missing, doubled or out of order"
    names = tuple(stage.stage for stage in left)
    if names != tuple(wanted[: len(names)]):
        return "stage records are not those of the pipeline's stages"
    if terminal.status == "OK" and len(names) != len(wanted):
        return "an answer without all of its stage records"
    if terminal.failed_stage and names[-1:] != (terminal.failed_stage,):
        return "a failure without the record of the stage that failed"
    if any(stage.at.partition != terminal.at.partition for stage in left):
        return "a stage record is not on the partition of its terminal"
    return ""
