"""Compile one pipeline file: its parts are read, put into their places, and built."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import orjson

from streams.compiling.called import Followed
from streams.compiling.callees import OpenedCallees, OtherFile, Others
from streams.compiling.flow import Flow
from streams.compiling.flow_fields import Known, Scope, there
from streams.compiling.flow_part import Stages
from streams.compiling.opened_lms import OpenedLMs, UnknownLM
from streams.compiling.placing import Placed, Placing, Shelf
from streams.compiling.stage_building import build_stage
from streams.compiling.stage_names import check_names
from streams.compiling.toolbox import Toolbox
from streams.conditions.cel import words_of
from streams.errors import ConfigError
from streams.flow_shape import shape_of, stages_of
from streams.json_form import json_form
from streams.language.flow_file import items_of
from streams.language.flow_text import LoopItem, MapItem, PipelineItem, WhenItem
from streams.language.library_file import check_library, read_signatures
from streams.language.pipeline_file import PipelineText
from streams.language.problems import Problems, meant
from streams.language.stage_file import StageText
from streams.language.stage_spec import Workshop
from streams.language.tools import TOOL_CALL, find_tools, tool_call_problem
from streams.language.written import read_written
from streams.plan import Pipeline
from streams.planned import Node, OnFailure, PlannedStage, UseStage
from streams.retry import RetryPolicy
from streams.signatures.avro import avro_fields
from streams.signatures.parse import Reading, parse_fields
from streams.signatures.records import read_types
from streams.signatures.types import Field, RecordOf
from streams.signatures.validate import Validator
from streams.stage import LM

_MISSING: Final = Reading(problems=("is missing",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a file is compiled: what it is made of, and what is beside it."""

    toolbox: Toolbox
    others: Others
    lms: OpenedLMs
    pipeline: str
    """The pipeline that will run: the file's own, or that which calls it."""
    prefix: str = ""
    """Of the names of its stages there."""


class Compiler:
    """Puts the parts of one file together."""

    def __init__(self, file: PipelineText, site: Site, problems: Problems) -> None:
        self.stages: Stages = {}
        """Once they are built."""
        self._file = file
        self._site = site
        self._problems = problems
        check_names(file, problems)
        self._types, type_problems = read_types(file.types)
        for name, sentence in type_problems:
            problems.add(f"types.{name}", sentence)
        shared = site.toolbox.library
        self._library = shared.plus(read_signatures(file.signatures, self._types))
        check_library(self._library, file.signatures, shared)
        self._tools = find_tools(file.tools, site.toolbox.code, problems)
        clash = tool_call_problem(self._types.records) if file.tools else None
        if clash is not None:
            problems.add(f"types.{TOOL_CALL.name}", clash)
        self._readings = {name: self._reading(s) for name, s in file.stages.items()}
        self._shelf = Shelf(
            stages=file.stages,
            readings=self._readings,
            kinds=site.toolbox.kinds,
            has_session=file.session is not None,
            prefix=site.prefix,
            used=self._used(),
        )
        self._input = self._fields("input", file.input)
        self._output = self._fields("output", file.output)
        self._callees = OpenedCallees(
            file, site.others, self._opened, self._types.records, problems
        )
        self._placed: Mapping[str, Placed] = {}
        self._asked: set[str] = set()
        """LMs that a stage asks."""
        self._refused: set[str] = set()
        self._own = len(problems.found)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The inputs of the pipeline."""
        return tuple(declared.typed(None) for declared in self._input.inputs)

    @property
    def stage_names(self) -> Iterable[str]:
        """What its stages, and those of its callees, are called."""
        yield from map(self._shelf.name_of, self._file.stages)
        for callee in self._callees.opened.values():
            yield from callee.stage_names

    @property
    def records(self) -> Mapping[str, RecordOf]:
        """The types that the file declares."""
        return self._types.records

    @property
    def found(self) -> list[str]:
        """All problems so far."""
        return self._problems.found

    def pipeline(self) -> Pipeline:
        """Return the pipeline.

        Raises:
            ConfigError: with every problem.
        """
        followed = self.follow(frozenset())
        self.build()
        self._problems.raise_any()
        return self._finished(followed, followed.part.node(self.stages))

    def follow(self, holes: frozenset[str]) -> Followed:
        """Follow the flow; *holes* are inputs that may be missing."""
        # A callee inside of a loop is followed more than once.
        del self._problems.found[self._own :]
        placing = Placing(self._shelf, self._problems)
        placing.whole = self._file.flow_is_whole and not self._input.problems
        flow = Flow(placing, self._callees, self._problems)
        scope = {f.name: _given(f, hole=f.name in holes) for f in self.inputs}
        part = flow.sequence(self._file.flow, scope)
        behind = {**scope, **part.makes}
        for declared in self._output.inputs:
            if there(behind, declared.name) is None:
                placing.missing("output", declared.name, behind)
        outputs = (placing.taken("output", d, behind) for d in self._output.inputs)
        lost = self._without_place(flow.placed, placing, scope)
        self._placed = {**flow.placed, **lost}
        return Followed(
            outputs=tuple(outputs),
            may_lack=frozenset(
                d.name
                for d in self._output.inputs
                if d.name in behind and behind[d.name].hole
            ),
            reads_history=any(each.reads_history for each in self._placed.values()),
            part=part,
        )

    def build(self) -> None:
        """Build the stages that were met, so far as they can be built.

        What is wrong with one key of a stage hides nothing that is wrong with another.
        """
        lms = {name: self._lm(placed.text) for name, placed in self._placed.items()}
        self._check_unasked()
        built: dict[str, PlannedStage] = {}
        # Those that stand in first: they are a part of the stage before them.
        for name, placed in reversed(list(self._placed.items())):
            stage = self._built(placed, lms[name], built)
            if stage is not None:
                built[name] = stage
        self.stages = built
        self._callees.build()

    def _without_place(
        self, placed: Mapping[str, Placed], placing: Placing, scope: Scope
    ) -> Mapping[str, Placed]:
        """Return the stages that the flow does not reach, which was told.

        What is wrong with each by itself can be told all the same.
        """
        lost = {n: text for n, text in self._file.stages.items() if n not in placed}
        stand_ins = {text.on_failure.stage for text in lost.values()}
        with placing.in_doubt():
            first = [placing.stage(n, scope) for n in lost if n not in stand_ins]
        return {e.text.name: e for each in first for e in each.chain()}

    def _reading(self, stage: StageText) -> Reading:
        kind = self._site.toolbox.kinds[stage.kind]
        path = stage.path
        try:
            if kind.describe is not None and stage.signature is None and stage.what:
                reading = kind.describe(stage.what, self._site.toolbox.code)
            elif stage.signature is not None:
                path = f"stages.{stage.name}.signature"
                reading = self._written(stage.signature)
            elif stage.what:
                reading = self._written(stage.what)
            else:
                # Told where the file was read.
                return _MISSING
        except ConfigError as error:
            reading = Reading(problems=error.problems)
        self._problems.add_all(path, reading.problems)
        return reading

    def _written(self, text: str) -> Reading:
        code = self._site.toolbox.code
        return read_written(text, self._types, self._library, code)

    def _fields(self, path: str, text: str | None) -> Reading:
        if text is None:
            return _MISSING
        reading = parse_fields(text, self._types)
        self._problems.add_all(path, reading.problems)
        return reading

    def _used(self) -> frozenset[str]:
        """Return every field that somebody may read, and some names more."""
        file = self._file
        used = set(words_of(file.output or ""))
        for stage in file.stages.values():
            used.update(each.name for each in self._readings[stage.name].inputs)
        for item in items_of(file.flow):
            match item:
                case WhenItem() | LoopItem():
                    used |= words_of(item.condition)
                case MapItem():
                    used |= {item.over, *item.collect}
                case PipelineItem():
                    other = self._site.others.get(item.name)
                    given = words_of((other and other.text.input) or "")
                    used |= {*item.inputs.values(), *given}
                case _:
                    pass
        return frozenset(used)

    def _opened(self, other: OtherFile, call: str) -> "Compiler":
        site = self._site
        prefix = f"{site.prefix}{call}_"
        return Compiler(other.text, replace(site, prefix=prefix), Problems(other.where))

    def _lm(self, stage: StageText) -> LM | None:
        """Return the LM that *stage* asks; None if it asks none, or after a problem."""
        if not self._shelf.kind_of(stage).asks_lm:
            return None
        known, path = self._file.lms, f"stages.{stage.name}.lm"
        name = stage.lm
        if name is None and len(known) == 1:
            name = next(iter(known))
        told = self._problems.paths()
        if path in told or (not known and "lms" in told):
            # It cannot be said which LM it is; that is no reason to say more.
            return None
        if name is None:
            self._problems.add(path, f"is missing; {meant('', known)}")
        elif name not in known:
            self._problems.add(path, f"no LM is called {name}; {meant(name, known)}")
        else:
            return self._opened_lm(name)
        return None

    def _check_unasked(self) -> None:
        """Check the LMs that no stage asks, so far as their text goes."""
        for name, options in self._file.lms.items():
            if name not in self._asked and options is not None:
                problems = self._site.toolbox.check_lm(options)
                self._problems.add_options(f"lms.{name}", problems)

    def _opened_lm(self, name: str) -> LM | None:
        options = self._file.lms[name]
        self._asked.add(name)
        try:
            return None if options is None else self._site.lms.get(name, options)
        except ConfigError as error:
            if name not in self._refused:
                # Each begins with the option that it is about.
                self._problems.add_options(f"lms.{name}", error.problems)
            self._refused.add(name)
            return None

    def _built(
        self, placed: Placed, lm: LM | None, built: Mapping[str, PlannedStage]
    ) -> PlannedStage | None:
        text, spec = placed.text, placed.spec
        kind = self._shelf.kind_of(text)
        shop = Workshop(
            code=self._site.toolbox.code,
            lm=lm or (UnknownLM() if kind.asks_lm else None),
            tools=self._tools,
            folder=self._site.toolbox.folder,
            web=self._site.toolbox.web,
        )
        stage = build_stage(placed, kind, shop, self._problems)
        policy = _policy(placed, built)
        if stage is None or policy is None:
            return None
        return PlannedStage(
            stage=stage,
            spec=spec,
            takes=placed.takes,
            constants=placed.constants,
            reads_history=placed.reads_history,
            outputs=placed.outputs,
            check=Validator(placed.outputs),
            retry=RetryPolicy(attempts=text.attempts),
            timeout_s=text.timeout_s,
            lm=lm,
            labels={"pipeline": self._site.pipeline, "stage": spec.name},
            on_failure=policy,
            instead_of_holes=placed.instead_of_holes,
        )

    def _finished(self, followed: Followed, flow: Node) -> Pipeline:
        file, stages = self._file, tuple(stages_of(flow))
        return Pipeline(
            name=file.name,
            version=file.version,
            fingerprint=_fingerprint(file, self.inputs, followed.outputs, flow),
            inputs=self.inputs,
            outputs=followed.outputs,
            session=file.session,
            stages=stages,
            flow=flow,
            lms=self._site.lms.all(),
            validator=Validator(self.inputs, file.extra),
            versions={stage.name: stage.stage.version for stage in stages},
            progress=file.progress,
            may_lack=followed.may_lack,
        )


def _given(field: Field, *, hole: bool) -> Known:
    return Known(type=field.type, maker="the input of the pipeline", hole=hole)


def _policy(placed: Placed, built: Mapping[str, PlannedStage]) -> OnFailure | None:
    """Return what follows a failure; None if what stands in has problems itself."""
    if not isinstance(placed.on_failure, Placed):
        return placed.on_failure
    other = built.get(placed.on_failure.text.name)
    return None if other is None else UseStage(stage=other)


def _fingerprint(
    file: PipelineText,
    inputs: tuple[Field, ...],
    outputs: tuple[Field, ...],
    flow: Node,
) -> str:
    """Return a hash of all that outputs depend on.

    Timeouts, attempts and widths are left out: who raises a timeout and restarts should
    not pay again for what the journal holds.
    """
    said = {
        "pipeline": [file.name, file.version],
        "input": avro_fields(inputs),
        "output": avro_fields(outputs),
        "session": file.session and [file.session.ttl_s, file.session.keep],
        "flow": shape_of(flow),
        "stages": [
            [
                stage.name,
                stage.stage.version,
                stage.lm and stage.lm.fingerprint,
                stage.takes,
                stage.constants,
                avro_fields(stage.outputs),
            ]
            for stage in stages_of(flow)
        ],
    }
    packed = orjson.dumps(said, default=json_form, option=orjson.OPT_SORT_KEYS)
    return sha256(packed).hexdigest()[:16]
