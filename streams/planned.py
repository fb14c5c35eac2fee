"""A compiled flow: stages with their policies, and the nodes that say when they run.

Fields have one name space in a pipeline. A node is given the values that are there
and adds those it makes. A value may be missing while a run goes on: a *hole*, left by
a stage that failed and was allowed to (``SKIP``), also where an older value was: that
may be of another type. Who needs a hole is not run, and leaves holes; a result that
lacks an output for that is ``PARTIAL``. A field that is not made because another way
was taken is no hole: it is None, and its type says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from streams.language.stage_spec import StageSpec
from streams.retry import RetryPolicy
from streams.signatures.types import Field
from streams.signatures.validate import Validator
from streams.stage import LM, Fields, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """The request ends with the stage's error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """The run goes on without its outputs: they are holes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UseDefault:
    """The run goes on with these outputs instead; they were checked."""

    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UseStage:
    """Another stage is asked, of which all outputs of the first are to be had."""

    stage: "PlannedStage"


OnFailure = Fail | Skip | UseDefault | UseStage
"""What follows once a stage has failed and no attempt is left. A deadline that has
passed is no failure of a stage: it ends the request."""

FAIL: Final = Fail()
SKIP: Final = Skip()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """One stage in its place, with the policies around it."""

    stage: Stage
    spec: StageSpec
    takes: tuple[str, ...]
    """Inputs that the request or an earlier stage gives it."""
    constants: Mapping[str, Any]
    """Inputs that nobody gives it: their defaults."""
    reads_history: bool
    outputs: tuple[Field, ...]
    """What it leaves: the outputs of its signature, and what its kind adds."""
    check: Validator
    """Of its outputs."""
    retry: RetryPolicy
    timeout_s: float | None
    """Seconds for one attempt; None for as long as the deadline allows."""
    lm: LM | None
    """The LM it asks; None for a stage that asks none."""
    labels: Mapping[str, str]
    """Of its metrics: pipeline and stage."""
    on_failure: OnFailure = FAIL
    instead_of_holes: Mapping[str, Any] = field(default_factory=dict)
    """Of *takes*, what stands in for a hole: a default, or None where the type has it.
    A hole in any other of them, and the stage is not run."""

    @property
    def name(self) -> str:
        return self.spec.name


class Condition(Protocol):
    """A CEL expression of type bool over fields, compiled once."""

    @property
    def text(self) -> str:
        """As the file has it."""
        ...

    @property
    def reads(self) -> frozenset[str]:
        """The fields that it looks at."""
        ...

    def holds(self, values: Fields) -> bool:
        """Say whether it is true of *values*.

        Raises:
            ConditionError: it has no value: a division by zero, an index too far.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StageNode:
    """One stage."""

    stage: PlannedStage


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceNode:
    """Nodes in order; those that do not need each other run at the same time."""

    nodes: tuple["Node", ...]
    after: tuple[frozenset[int], ...]
    """For each node, the indexes of those that have to end before it begins: they
    make what it reads, or read or make what it makes."""
    chain: bool
    """Whether each simply follows the one before: then nothing is scheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelNode:
    """All branches at the same time; ends when all have ended."""

    branches: Mapping[str, "Node"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhenNode:
    """One of two. A hole that the condition reads makes holes of all it would make."""

    condition: Condition
    then: "Node"
    otherwise: "Node"
    makes: tuple[str, ...]
    """Fields of either way: those that the way taken does not make, and that are not
    there already, are None afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """The body once for each element, with fields of its own, at most *width* at once.

    An element of whose body a collected field is a hole contributes None where the
    element type of the list has it; else the whole list is a hole.
    """

    body: "Node"
    over: str
    each: str
    collect: Mapping[str, str]
    """Field of the body: field of the list of its values, in the elements' order."""
    holes_are_none: frozenset[str]
    """Lists (by their field) that may hold None for an element."""
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopNode:
    """The body again and again, on the same fields.

    Where the bound comes first the run goes on with what there is.
    """

    body: "Node"
    condition: Condition
    before: bool
    """While it holds, asked before; else until it holds, asked after."""
    max_iterations: int
    makes: tuple[str, ...]
    """Fields of the body: None afterwards if it never ran and they are not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackNode:
    """The first alternative that does not fail; the error of the last, if all do."""

    alternatives: tuple["Node", ...]
    makes: tuple[str, ...]
    """Fields of any; those that the one taken does not make are None afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNode:
    """Another pipeline's flow, on fields of its own."""

    pipeline: str
    """``name@version``."""
    given: str = ""
    """What the file calls the call, ``as: first``; its stages have the name in front
    of theirs."""
    inputs: Mapping[str, str]
    """Its input: our field, for every input that we give it."""
    constants: Mapping[str, Any]
    """Inputs that nobody gives it, or in a loop not yet: their defaults."""
    outputs: Mapping[str, str]
    """Its output: our field."""
    body: "Node"

    @property
    def title(self) -> str:
        """For people: ``enrich@2``, or ``enrich@2 as first``."""
        return f"{self.pipeline} as {self.given}" if self.given else self.pipeline


Node = (
    StageNode
    | SequenceNode
    | ParallelNode
    | WhenNode
    | MapNode
    | LoopNode
    | FallbackNode
    | CallNode
)

NodeKind = Literal["map", "loop"]
"""What adds a part to an iteration path: ``map.1/17`` is the 18th element of the
flow's first map. A stage inside has its name behind it: ``map.1/17/sum_up``. So the
journal, the sequence of stage records and their readers name an execution."""
