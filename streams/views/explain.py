"""What a compiled pipeline does, in words and numbers: stages, fields, worst case."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streams.language.adapter_choice import adapter_of
from streams.plan import Pipeline
from streams.planned import (
    PlannedStage,
    StageNode,
    UseStage,
)
from streams.signatures.types import Field, FieldType
from streams.views.policies import policy_words
from streams.views.uses import Row, field_rows
from streams.views.visits import Visit, visits_of
from streams.views.worst_case import Worst, worst_of, worst_of_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that there is to know of a pipeline without running it."""

    stages: tuple[Row, ...]
    """In the order of the flow."""
    fields: tuple[Row, ...]
    """Who makes each field, and who takes it."""
    worst: Row
    """Seconds and LM calls of one request, at most."""


def explanation_of(pipeline: Pipeline) -> Explanation:
    """Return what *pipeline* does."""
    visits = tuple(visits_of(pipeline.flow))
    return Explanation(
        stages=tuple(row for visit in visits for row in _stage_rows(visit)),
        fields=tuple(field_rows(pipeline, visits)),
        worst=_worst_row(worst_of(pipeline.flow, _types(pipeline))),
    )


def _stage_rows(visit: Visit) -> Iterator[Row]:
    if isinstance(visit.node, StageNode):
        yield from _with_stand_ins(visit.node.stage, " / ".join(visit.within))


def _with_stand_ins(stage: PlannedStage, within: str) -> Iterator[Row]:
    worst = worst_of_stage(stage, alone=True)
    yield {
        "stage": stage.name,
        "kind": stage.spec.kind,
        "lm": None if stage.lm is None else stage.lm.name,
        "adapter": None if stage.lm is None else adapter_of(stage.spec.options),
        "within": within,
        "takes": [_typed(field) for field in stage.spec.inputs],
        "makes": [_typed(field) for field in stage.outputs],
        "attempts": stage.retry.attempts,
        "seconds": None if worst.endless else worst.seconds.text(),
        "on_failure": policy_words(stage.on_failure),
        "version": stage.stage.version,
    }
    if isinstance(stage.on_failure, UseStage):
        instead = f"in place of {stage.name}"
        yield from _with_stand_ins(stage.on_failure.stage, instead)


def _typed(field: Field) -> str:
    return f"{field.name}: {field.type}"


def _types(pipeline: Pipeline) -> Mapping[str, FieldType]:
    made = {f.name: f.type for stage in pipeline.stages for f in stage.outputs}
    return made | {field.name: field.type for field in pipeline.inputs}


def _worst_row(worst: Worst) -> Row:
    return {
        "time": worst.seconds.text(" s"),
        "without a timeout": sorted(worst.endless),
        "lm calls": worst.calls.text(),
        "calls not known": sorted(worst.uncounted),
    }
