"""Compiled flows made by hand, for what only looks at them."""

from dataclasses import dataclass

from streams.language.stage_spec import StageSpec
from streams.planned import (
    FAIL,
    CallNode,
    FallbackNode,
    LoopNode,
    MapNode,
    ParallelNode,
    PlannedStage,
    SequenceNode,
    StageNode,
    WhenNode,
)
from streams.retry import RetryPolicy
from streams.signatures.parse import parse_signature
from streams.signatures.validate import Validator


@dataclass(frozen=True)
class NamedLM:
    """An LM that is only named."""

    name: str
    fingerprint: str = "named"


@dataclass(frozen=True)
class Unasked:
    """A stage that nobody runs."""

    name: str
    version: str = "unasked@1"


@dataclass(frozen=True)
class Said:
    """A condition that nobody asks."""

    text: str
    reads: frozenset = frozenset()

    def holds(self, values):
        raise AssertionError


def planned(  # noqa: PLR0913 - one parameter for what a test may say
    name,
    signature="x: str -> y: str",
    *,
    kind="predict",
    lm="small",
    timeout_s=8.0,
    attempts=1,
    on_failure=FAIL,
    **options,
):
    """Return a stage; by default one that asks an LM once, within 8 s."""
    reading = parse_signature(signature)
    spec = StageSpec(
        name=name,
        kind=kind,
        inputs=tuple(d.typed(None) for d in reading.inputs),
        outputs=tuple(d.typed(None) for d in reading.outputs),
        options=options,
    )
    return PlannedStage(
        stage=Unasked(name),
        spec=spec,
        takes=tuple(field.name for field in spec.inputs),
        constants={},
        reads_history=False,
        outputs=spec.outputs,
        check=Validator(spec.outputs),
        retry=RetryPolicy(attempts=attempts),
        timeout_s=timeout_s,
        lm=NamedLM(lm) if lm else None,
        labels={},
        on_failure=on_failure,
    )


def stage(*args, **kwargs):
    return StageNode(stage=planned(*args, **kwargs))


def seq(*nodes, after=None):
    """Return nodes one after the other, unless *after* says otherwise."""
    chain = tuple(frozenset({i - 1} if i else ()) for i in range(len(nodes)))
    waits = chain if after is None else tuple(map(frozenset, after))
    return SequenceNode(nodes=nodes, after=waits, chain=after is None)


def parallel(**branches):
    return ParallelNode(branches=branches)


def when(text, then, otherwise=None, reads=()):
    other = seq() if otherwise is None else otherwise
    said = Said(text, frozenset(reads))
    return WhenNode(condition=said, then=then, otherwise=other, makes=())


def map_over(over, body, *, width=8, collect=None):
    return MapNode(
        body=body,
        over=over,
        each="part",
        collect=collect or {"y": "ys"},
        holes_are_none=frozenset(),
        width=width,
    )


def loop(text, body, *, most, before=False):
    return LoopNode(
        body=body,
        condition=Said(text),
        before=before,
        max_iterations=most,
        makes=(),
    )


def fallback(*ways):
    return FallbackNode(alternatives=ways, makes=())


def call(name, body):
    return CallNode(
        pipeline=name,
        inputs={"its": "ours"},
        constants={},
        outputs={"made": "taken"},
        body=body,
    )
