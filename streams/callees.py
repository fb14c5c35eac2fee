"""Pipelines that a flow calls: found by name and version, and followed inside of it.

A callee is compiled anew for each caller: its stages have names of their own there,
``<pipeline>_<stage>``, and its own LMs. It sees its inputs and leaves its outputs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from streams.flow_fields import Known, Scope
from streams.flow_file import items_of
from streams.flow_part import Part, Stages
from streams.flow_text import PipelineItem
from streams.pipeline_file import PipelineText
from streams.placing import Placing
from streams.planned import CallNode
from streams.problems import Problems, meant
from streams.signatures.fitting import fits
from streams.signatures.names import name_problem
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherFile:
    """A pipeline file beside the one that is compiled."""

    where: str
    text: PipelineText
    problems: tuple[str, ...]
    """Of the text alone."""


Others = Mapping[str, OtherFile]
"""The files that a flow may call, by the names of their pipelines."""

Open = Callable[[OtherFile], Callee]

_HISTORY: Final = "reads the history of a session, and has none inside a pipeline"


class OpenedCallees:
    """The callees of one file, opened once each."""

    def __init__(
        self,
        home: PipelineText,
        others: Others,
        opening: Open,
        records: Mapping[str, RecordOf],
        problems: Problems,
    ) -> None:
        self.opened: dict[str, Callee] = {}
        """By their names."""
        self._home = home
        self._others = others
        self._open = opening
        self._problems = problems
        self._paths: dict[str, str] = {}
        self._records = records

    def follow(self, item: PipelineItem, scope: Scope, placing: Placing) -> Part | None:
        """Return the flow that *item* calls; None, and a problem, without one."""
        path = f"{item.path}.pipeline"
        callee = self._callee(item, path)
        if callee is None:
            return None
        call = _Call(item, callee, scope, placing, self._problems)
        followed = callee.follow(call.holes)
        if callee.found:
            self._problems.add(path, _unusable(item.name, callee.found))
            return None
        ours = {placing.shelf.name_of(stage) for stage in self._home.named}
        self._check_names(item.name, callee, path, ours)
        if followed.reads_history:
            self._problems.add(path, f"{item.name} {_HISTORY}")
        return call.part(followed)

    def build(self) -> None:
        """Build the stages of all callees that have no problems."""
        for name, callee in self.opened.items():
            if not callee.found:
                callee.build()
                if callee.found:
                    told = _unusable(name, callee.found)
                    self._problems.add(self._paths[name], told)

    def _callee(self, item: PipelineItem, path: str) -> Callee | None:
        first = self._paths.setdefault(item.name, path)
        if first != path:
            self._problems.add(path, f"{item.name} runs twice")
            return None
        if item.name in self.opened:
            return self.opened[item.name]
        other = self._other(item, path)
        if other is None:
            return None
        self.opened[item.name] = self._open(other)
        return self.opened[item.name]

    def _other(self, item: PipelineItem, path: str) -> OtherFile | None:
        """Return the file of the pipeline that *item* calls, if it may call it."""
        other = self._others.get(item.name)
        circle = self._circle(item.name)
        if circle:
            self._problems.add(path, f"calls itself: {' > '.join(circle)}")
        elif other is None:
            hint = meant(item.name, self._others.keys() - {self._home.name})
            told = f"no pipeline of this folder is called {item.name}; {hint}"
            self._problems.add(path, told)
        elif other.text.version != item.version:
            version = other.text.version
            self._problems.add(path, f"{item.name} is in version {version} here")
        elif other.problems:
            self._problems.add(path, _unusable(item.name, other.problems))
        else:
            return other
        return None

    def _circle(self, name: str) -> list[str]:
        """Return the pipelines that call one another, from the home to itself."""
        home, seen, ways = self._home.name, set[str](), [[name]]
        while ways:
            way = ways.pop()
            if way[-1] == home:
                return [home, *way]
            if way[-1] not in seen and way[-1] in self._others:
                seen.add(way[-1])
                items = items_of(self._others[way[-1]].text.flow)
                called = (i.name for i in items if isinstance(i, PipelineItem))
                ways += [[*way, each] for each in called]
        return []

    def _check_names(
        self, name: str, callee: Callee, path: str, ours: set[str]
    ) -> None:
        """Note what is called the same as something of ours, or of another callee."""
        rest = [each for each in self.opened.values() if each is not callee]
        stages = ours.union(*(each.stage_names for each in rest))
        for stage in callee.stage_names:
            problem = name_problem(stage)
            if stage in stages:
                problem = f"a stage of it would be called {stage}, and there is one"
            if problem is not None:
                self._problems.add(path, problem)
        for known in (self._records, *(each.records for each in rest)):
            for record, kind in callee.records.items():
                if known.get(record, kind) != kind:
                    self._problems.add(path, f"{name} declares another type {record}")


class _Call:
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
                maker=f"pipeline {item.name}",
                hole=field.name in followed.may_lack,
            )
            self._placing.made(path, ours, makes[ours], self._scope)
        return Part(
            reads=frozenset(inputs.values()),
            makes=makes,
            node=lambda _: CallNode(
                pipeline=f"{item.name}@{item.version}",
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


def _unusable(name: str, problems: Sequence[str]) -> str:
    return f"{name} has problems of its own: {problems[0]}"
