"""One call of a pipeline: which of our fields it is given, and which it leaves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from streams.compiling.flow_fields import Known, Scope
from streams.compiling.flow_part import Part, Stages, Surely
from streams.compiling.placing import Placing
from streams.language.flow_text import PipelineItem
from streams.language.problems import Problems, meant
from streams.planned import CallNode
from streams.signatures.fitting import fits
from streams.signatures.types import Field, RecordOf
from streams.signatures.validate import default_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The flow of a whole file, followed from its input to its output."""

    outputs: tuple[Field, ...]
    may_lack: frozenset[str]
    """Outputs that may be holes."""
    reads_history: bool
    part: Part


class Callee(Protocol):
    """The compiler of a file that is called."""

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What it is given."""
        ...

    @property
    def stage_names(self) -> Iterable[str]:
        """What its stages are called where it is called."""
        ...

    @property
    def records(self) -> Mapping[str, RecordOf]:
        """The types that it declares."""
        ...

    @property
    def found(self) -> Sequence[str]:
        """What is wrong with it."""
        ...

    def follow(self, holes: frozenset[str]) -> Followed:
        """Follow its flow; *holes* are inputs that may be missing."""
        ...

    def build(self) -> None:
        """Build its stages."""
        ...

    @property
    def stages(self) -> Stages:
        """Its stages, once they are built."""
        ...


class Call:
    """One item that calls a pipeline: its inputs and outputs, and our fields."""

    def __init__(
        self,
        item: PipelineItem,
        callee: Callee,
        scope: Scope,
        placing: Placing,
        problems: Problems,
    ) -> None:
        self._item = item
        self._callee = callee
        self._scope = scope
        self._placing = placing
        self._problems = problems
        self._inputs: dict[str, str] = {}
        self._constants: dict[str, Any] = {}
        self._check_keys("inputs", item.inputs, callee.inputs)
        for field in callee.inputs:
            self._give(field)

    @property
    def holes(self) -> frozenset[str]:
        """Inputs that may be missing."""
        given = self._inputs.items()
        return frozenset(name for name, ours in given if self._scope[ours].hole)

    def part(self, followed: Followed) -> Part:
        """Return the call as a part of our flow."""
        item, callee = self._item, self._callee
        inputs, constants = self._inputs, self._constants
        self._check_keys("outputs", item.outputs, followed.outputs)
        outputs = {f.name: item.outputs.get(f.name, f.name) for f in followed.outputs}
        makes: dict[str, Known] = {}
        for field in followed.outputs:
            ours = outputs[field.name]
            path = f"{item.path}.outputs.{field.name}"
            if ours in makes:
                self._problems.add(path, f"{ours} is made of two outputs")
            makes[ours] = Known(
                type=field.type,
                maker=f"pipeline {item.title}",
                hole=field.name in followed.may_lack,
            )
            self._placing.made(path, ours, makes[ours], self._scope)
        return Part(
            reads=frozenset(inputs.values()),
            makes=makes,
            surely=Surely(
                path=f"{item.path}.pipeline", maker=item.title, makes=frozenset(makes)
            ),
            node=lambda _: CallNode(
                pipeline=f"{item.name}@{item.version}",
                given=item.given,
                inputs=inputs,
                constants=constants,
                outputs=outputs,
                body=followed.part.node(callee.stages),
            ),
        )

    def _give(self, field: Field) -> None:
        """Find out what the input *field* of the callee is given."""
        name, item = field.name, self._item
        ours = item.inputs.get(name, name)
        said = f"inputs.{name}" if name in item.inputs else "pipeline"
        path = f"{item.path}.{said}"
        known = self._scope.get(ours)
        if known is not None and not (known.later and field.required):
            self._inputs[name] = ours
            if known.later:
                self._constants[name] = default_of(field)
            if not fits(known.type, field.type):
                told = f"{ours} is {known.type} from {known.maker}, but {item.name} "
                self._problems.add(path, f"{told}takes {name}: {field.type}")
        elif field.required or name in item.inputs:
            why = f", which {item.name} takes"
            self._placing.missing(path, ours, self._scope, why)
        else:
            self._constants[name] = default_of(field)

    def _check_keys(
        self, key: str, renamed: Mapping[str, str], fields: Iterable[Field]
    ) -> None:
        known = [field.name for field in fields]
        for name in renamed:
            if name not in known:
                path = f"{self._item.path}.{key}.{name}"
                told = (
                    f"is none of the {key} of {self._item.name}; {meant(name, known)}"
                )
                self._problems.add(path, told, key=True)
