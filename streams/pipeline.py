"""Compile pipelines: from files to values that a run can trust.

Everything is checked here, once, and every problem is reported, so that nothing about
a pipeline can go wrong later than the start of a worker.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from streams.errors import ConfigError
from streams.flow import Flow, Placed
from streams.json_form import json_form
from streams.pipeline_file import PipelineText, read_pipeline
from streams.plan import Pipeline, SessionPolicy
from streams.planned import PlannedStage
from streams.problems import Problems, meant
from streams.retry import RetryPolicy
from streams.signatures.avro import avro_fields
from streams.signatures.parse import Reading, parse_fields, parse_signature
from streams.signatures.records import read_types
from streams.signatures.types import Field
from streams.signatures.validate import Validator
from streams.stage import LM, Stage
from streams.stage_file import StageText
from streams.stage_spec import StageKind, StageSpec, Workshop
from streams.user_code import UserCode
from streams.yaml_text import plain_values

__all__ = [
    "Pipeline",
    "PlannedStage",
    "SessionPolicy",
    "Toolbox",
    "compile_file",
    "compile_folder",
    "compile_text",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """What pipelines are made of besides their files; ``streams/catalog.py`` has it."""

    kinds: Mapping[str, StageKind]
    open_lm: Callable[[str, Mapping[str, Any]], LM]
    """From a name and its options to an LM; raises ConfigError."""
    code: UserCode


def compile_folder(folder: Path, toolbox: Toolbox) -> Mapping[str, Pipeline]:
    """Return the pipelines of all YAML files in *folder*, by name.

    Raises:
        ConfigError: with every problem of every file, ``path: place: sentence``.
    """
    problems: list[str] = []
    pipelines: dict[str, Pipeline] = {}
    files: dict[str, Path] = {}
    paths = sorted(p for p in folder.glob("*") if p.suffix in (".yaml", ".yml"))
    if not paths:
        problems.append(f"{folder}: there is no pipeline file (*.yaml) here")
    for path in paths:
        try:
            pipeline = compile_file(path, toolbox)
        except ConfigError as error:
            problems += error.problems
            continue
        other = files.setdefault(pipeline.name, path)
        if other is not path:
            problems.append(f"{path}: pipeline: {other} has the name already")
        pipelines[pipeline.name] = pipeline
    if problems:
        raise ConfigError(problems)
    return pipelines


def compile_file(path: Path, toolbox: Toolbox) -> Pipeline:
    """Return the pipeline of one file.

    Raises:
        ConfigError: with every problem, ``path: place: sentence``.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from error
    return compile_text(text, str(path), toolbox)


def compile_text(text: str, where: str, toolbox: Toolbox) -> Pipeline:
    """Return the pipeline that *text* describes; *where* stands in its problems.

    Raises:
        ConfigError: with every problem, ``where: place: sentence``.
    """
    problems = Problems(where)
    plain = plain_values(text, problems)
    if not isinstance(plain, Mapping):
        if not problems.found:
            problems.add("", "must be a mapping that begins with `pipeline:`")
        problems.raise_any()
    file = read_pipeline(plain, toolbox.kinds, problems)
    compiler = _Compiler(file, toolbox, problems)
    return compiler.pipeline()


class _Compiler:
    """Puts the parts of one file together."""

    def __init__(
        self, file: PipelineText, toolbox: Toolbox, problems: Problems
    ) -> None:
        self._file = file
        self._toolbox = toolbox
        self._problems = problems
        self._lms: dict[str, LM | None] = {}
        self._asked: dict[str, LM] = {}
        self._types, self._type_problems = read_types(file.types)

    def pipeline(self) -> Pipeline:
        """Return the pipeline.

        Raises:
            ConfigError: with every problem.
        """
        file, flow = self._file, Flow(self._problems)
        self._check_flow(flow)
        for name, sentence in self._type_problems:
            self._problems.add(f"types.{name}", sentence)
        readings = {name: self._reading(s) for name, s in file.stages.items()}
        inputs = flow.begin(self._fields("input", file.input))
        placed = [
            flow.through(
                file.stages[name],
                readings[name],
                self._kind(name),
                has_session=file.session is not None,
            )
            for name in file.flow
            if name in file.stages
        ]
        outputs = flow.end(self._fields("output", file.output))
        for stage in placed:
            self._find_lm(file.stages[stage.spec.name])
        self._problems.raise_any()
        stages = [self._planned(stage) for stage in placed]
        self._problems.raise_any()
        return self._finished(inputs, outputs, [s for s in stages if s is not None])

    def _check_flow(self, flow: Flow) -> None:
        file = self._file
        for index, name in enumerate(file.flow, start=1):
            if name not in file.named:
                hint = meant(name, file.named)
                self._problems.add(
                    f"flow.{index}", f"no stage is called {name}; {hint}"
                )
        for name in file.stages:
            if name not in file.flow and file.flow_is_whole:
                self._problems.add(f"stages.{name}", "is not in the flow")
        flow.whole = file.flow_is_whole and all(n in file.stages for n in file.flow)

    def _fields(self, path: str, text: str | None) -> Reading:
        if text is None:
            return Reading(problems=("is missing",))
        reading = parse_fields(text, self._types)
        self._problems.add_all(path, reading.problems)
        return reading

    def _reading(self, stage: StageText) -> Reading:
        kind = self._toolbox.kinds[stage.kind]
        path = stage.path
        try:
            if kind.describe is not None and stage.signature is None:
                reading = kind.describe(stage.what, self._toolbox.code)
            elif kind.describe is not None:
                path = f"stages.{stage.name}.signature"
                reading = parse_signature(stage.signature or "", self._types)
            else:
                reading = parse_signature(stage.what, self._types)
        except ConfigError as error:
            reading = Reading(problems=error.problems)
        self._problems.add_all(path, reading.problems)
        return reading

    def _kind(self, stage: str) -> StageKind:
        return self._toolbox.kinds[self._file.stages[stage].kind]

    def _find_lm(self, stage: StageText) -> None:
        """Find the LM that *stage* asks; opened once for all stages that ask it."""
        if not self._kind(stage.name).asks_lm:
            return
        known, path = self._file.lms, f"stages.{stage.name}.lm"
        name = stage.lm
        if name is None and len(known) == 1:
            name = next(iter(known))
        if name is None:
            self._problems.add(path, f"is missing; {meant('', known)}")
        elif name not in known:
            self._problems.add(path, f"no LM is called {name}; {meant(name, known)}")
        else:
            if name not in self._lms:
                self._lms[name] = self._opened(name)
            lm = self._lms[name]
            if lm is not None:
                self._asked[stage.name] = lm

    def _opened(self, name: str) -> LM | None:
        options = self._file.lms[name]
        try:
            return None if options is None else self._toolbox.open_lm(name, options)
        except ConfigError as error:
            # Each begins with the option that it is about.
            self._problems.add_options(f"lms.{name}", error.problems)
            return None

    def _planned(self, placed: Placed) -> PlannedStage | None:
        name = placed.spec.name
        text = self._file.stages[name]
        try:
            stage = self._built(placed.spec)
        except ConfigError as error:
            self._problems.add_all(text.path, error.problems)
            return None
        return PlannedStage(
            stage=stage,
            spec=placed.spec,
            takes=placed.takes,
            constants=placed.constants,
            reads_history=placed.reads_history,
            outputs=placed.outputs,
            check=Validator(placed.outputs),
            retry=RetryPolicy(attempts=text.attempts),
            timeout_s=text.timeout_s,
            lm=self._asked.get(name),
            labels={"pipeline": self._file.name, "stage": name},
        )

    def _built(self, spec: StageSpec) -> Stage:
        lm = self._asked.get(spec.name)
        return self._kind(spec.name).build(
            spec, Workshop(code=self._toolbox.code, lm=lm)
        )

    def _finished(
        self,
        inputs: tuple[Field, ...],
        outputs: tuple[Field, ...],
        stages: list[PlannedStage],
    ) -> Pipeline:
        file = self._file
        return Pipeline(
            name=file.name,
            version=file.version,
            fingerprint=_fingerprint(file, inputs, outputs, stages),
            inputs=inputs,
            outputs=outputs,
            session=file.session,
            stages=tuple(stages),
            lms=tuple(lm for lm in self._lms.values() if lm is not None),
            validator=Validator(inputs, file.extra),
            versions={stage.name: stage.stage.version for stage in stages},
        )


def _fingerprint(
    file: PipelineText,
    inputs: tuple[Field, ...],
    outputs: tuple[Field, ...],
    stages: list[PlannedStage],
) -> str:
    """Return a hash of all that outputs depend on.

    Timeouts and attempts are left out: who raises a timeout and restarts should not
    pay again for what the journal holds.
    """
    said = {
        "pipeline": [file.name, file.version],
        "input": avro_fields(inputs),
        "output": avro_fields(outputs),
        "session": file.session and [file.session.ttl_s, file.session.keep],
        "stages": [
            [
                stage.name,
                stage.stage.version,
                stage.lm and stage.lm.fingerprint,
                stage.takes,
                stage.constants,
                avro_fields(stage.outputs),
            ]
            for stage in stages
        ],
    }
    packed = orjson.dumps(said, default=json_form, option=orjson.OPT_SORT_KEYS)
    return sha256(packed).hexdigest()[:16]
