"""One stage in its place: what it takes, what it makes, and what if it fails."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from streams.compiling.failure_checks import checked_default, uncovered
from streams.compiling.flow_fields import Known, Scope, there
from streams.compiling.makers import circle_of, made_later
from streams.language.problems import Problems, meant
from streams.language.stage_file import StageText
from streams.language.stage_spec import StageKind, StageSpec
from streams.planned import FAIL, SKIP, Fail, Skip, UseDefault
from streams.signatures.fitting import fits
from streams.signatures.parse import Declared, Reading
from streams.signatures.types import Field, HistoryType, Maybe
from streams.signatures.validate import default_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A stage in its place in the flow: all its fields have a type and a source."""

    text: StageText
    spec: StageSpec
    takes: tuple[str, ...]
    """Inputs that somebody before it makes."""
    constants: Mapping[str, Any]
    """Inputs that nobody makes: their defaults."""
    instead_of_holes: Mapping[str, Any]
    """Of *takes*, what stands in for one that is missing."""
    outputs: tuple[Field, ...]
    """What it leaves: the outputs of its signature, and what its kind adds."""
    reads_history: bool
    on_failure: "Fail | Skip | UseDefault | Placed"
    """A stage that stands in is placed itself."""
    makes: Scope
    """What is there behind it."""
    sure: bool
    """Whether its fields are surely those that it has when its file has no problem:
    else what does not fit them may fit all the same."""

    @property
    def reads(self) -> frozenset[str]:
        """The fields that it looks at, or that a stage standing in for it does."""
        return frozenset(name for each in self.chain() for name in each.takes)

    def chain(self) -> "Iterator[Placed]":
        """Give this stage, the one that stands in for it, and so on."""
        yield self
        if isinstance(self.on_failure, Placed):
            yield from self.on_failure.chain()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The stages of one file, as far as they could be read."""

    stages: Mapping[str, StageText]
    readings: Mapping[str, Reading]
    kinds: Mapping[str, StageKind]
    has_session: bool
    prefix: str = ""
    """Of the names that its stages have in a pipeline that calls this one."""
    used: frozenset[str] = field(default_factory=frozenset)
    """Every field that somebody may read. What a kind adds to a signature counts as
    made only if it is one of them: two stages that say their ``reasoning``, which
    nobody reads, do not get in each other's way."""

    def kind_of(self, stage: StageText) -> StageKind:
        """Return the kind of *stage*."""
        return self.kinds[stage.kind]

    def name_of(self, stage: str) -> str:
        """Return what a stage is called in the pipeline that runs."""
        return f"{self.prefix}{stage}"


class Placing:
    """Puts stages into their places; what does not fit goes to *problems*.

    Where something before could not be read, fields that seem to be missing may be
    there after all: then nothing is said about them (*whole* is False).
    """

    def __init__(self, shelf: Shelf, problems: Problems) -> None:
        self.shelf = shelf
        self.whole = True
        self._problems = problems

    @contextmanager
    def in_doubt(self) -> Iterator[None]:
        """Say nothing of fields that seem to be missing within."""
        before, self.whole = self.whole, False
        yield
        self.whole = before

    def stage(self, name: str, scope: Scope) -> Placed:
        """Return the stage called *name* as it stands where *scope* is there."""
        text = self.shelf.stages[name]
        placed = self._placed(text, scope)
        for made, known in placed.makes.items():
            self.made(text.path, made, known, scope)
        if self.shelf.readings[name].problems:
            self.whole = False
        return placed

    def taken(self, path: str, declared: Declared, scope: Scope) -> Field:
        """Return an input as a field: who takes it finds it in *scope*, of its type."""
        known = there(scope, declared.name)
        made = scope.get(declared.name)
        field = declared.typed(None if made is None else made.type)
        if made is not None and known is None and _needs_value(field):
            self._problems.add(
                path,
                f"{made.maker} makes {declared.name} later in the loop: give it a "
                "default here, or make it before the loop",
            )
        elif made is not None and not fits(made.type, field.type):
            self._problems.add(
                path,
                f"{field.name} is {field.type} here, but {made.type} from {made.maker}",
            )
        return field

    def missing(self, path: str, name: str, scope: Scope, why: str = "") -> None:
        """Note that nobody before makes *name*; *why* it is needed."""
        if self.whole:
            hint = made_later(name, self.shelf.readings) or meant(name, scope)
            self._problems.add(path, f"nobody before makes {name}{why}; {hint}")

    def made(self, path: str, name: str, made: Known, scope: Scope) -> None:
        """Note it if *name* was there, and of a type that it does not fit."""
        before = there(scope, name)
        if before is not None and not fits(made.type, before.type):
            self._problems.add(
                path,
                f"makes {name} {made.type}, but {before.maker} made it {before.type}",
            )

    def _placed(self, text: StageText, scope: Scope) -> Placed:
        reading = self.shelf.readings[text.name]
        kind = self.shelf.kind_of(text)
        inputs = tuple(self._input(text, each, scope) for each in reading.inputs)
        sent = [f for f in inputs if not isinstance(f.type, HistoryType)]
        reads_history = len(sent) < len(inputs)
        misread = reads_history and not (self.shelf.has_session and kind.asks_lm)
        if misread:
            self._problems.add(
                text.path, _no_history(has_session=self.shelf.has_session)
            )
        spec = StageSpec(
            name=self.shelf.name_of(text.name),
            kind=text.kind,
            inputs=inputs,
            outputs=tuple(declared.typed(None) for declared in reading.outputs),
            instructions=text.instructions or reading.instructions,
            target=text.what,
            options=text.options,
        )
        takes = tuple(f.name for f in sent if f.name in scope)
        outputs = kind.leaves(spec)
        instead = _instead_of_holes(sent, scope)
        failure, stands_in_hole = self._failure(text, outputs, scope)
        lost = any(scope[n].hole and n not in instead for n in takes)
        return Placed(
            text=text,
            spec=spec,
            takes=takes,
            constants={f.name: default_of(f) for f in sent if f.name not in scope},
            instead_of_holes=instead,
            outputs=outputs,
            reads_history=reads_history,
            on_failure=failure,
            makes=self._makes(text, spec, outputs, hole=lost or stands_in_hole),
            sure=not (reading.problems or misread)
            and all(each.type or each.name in scope for each in reading.inputs),
        )

    def _input(self, text: StageText, declared: Declared, scope: Scope) -> Field:
        field = self.taken(text.path, declared, scope)
        if isinstance(field.type, HistoryType) or declared.name in scope:
            return field
        if declared.required:
            self._missing_input(text, declared.name, scope)
        return field

    def _missing_input(self, text: StageText, name: str, scope: Scope) -> None:
        cycle = circle_of(text.name, name, self.shelf.readings, scope)
        if cycle and self.whole:
            told = " > ".join(cycle)
            self._problems.add(
                text.path, f"nobody before makes {name}; each needs the next: {told}"
            )
        else:
            self.missing(text.path, name, scope)

    def _makes(
        self,
        text: StageText,
        spec: StageSpec,
        outputs: tuple[Field, ...],
        *,
        hole: bool,
    ) -> dict[str, Known]:
        declared = {field.name for field in spec.outputs}
        return {
            f.name: Known(type=f.type, maker=f"stage {text.name}", hole=hole)
            for f in outputs
            if f.name in declared or f.name in self.shelf.used
        }

    def _failure(
        self, text: StageText, outputs: tuple[Field, ...], scope: Scope
    ) -> tuple[Fail | Skip | UseDefault | Placed, bool]:
        """Return what follows a failure, and whether that may leave holes."""
        said = text.on_failure
        match said.kind:
            case "skip":
                return SKIP, True
            case "default":
                whole = not self.shelf.readings[text.name].problems
                given = checked_default(text, outputs, self._problems, whole=whole)
                return given, False
            case "stage" if said.stage in self.shelf.stages:
                other = self.shelf.stages[said.stage]
                if self.shelf.readings[said.stage].problems or self._stands_in_circle(
                    text
                ):
                    return FAIL, False
                placed = self._placed(other, scope)
                self._check_cover(text, outputs, placed)
                return placed, any(known.hole for known in placed.makes.values())
            case _:
                return FAIL, False

    def _check_cover(
        self, text: StageText, outputs: tuple[Field, ...], other: Placed
    ) -> None:
        declared = {field.name for field in self.shelf.readings[text.name].outputs}
        needed = [f for f in outputs if f.name in declared | self.shelf.used]
        for sentence in uncovered(needed, other.outputs, other.text.name):
            path = f"stages.{text.name}.on_failure.stage"
            self._problems.add(path, sentence)

    def _stands_in_circle(self, text: StageText) -> bool:
        """Say whether the stages that stand in for *text* never end."""
        met, name = {text.name}, text.on_failure.stage
        while name in self.shelf.stages:
            if name in met:
                return True
            met.add(name)
            name = self.shelf.stages[name].on_failure.stage
        return False


def _instead_of_holes(inputs: list[Field], scope: Scope) -> dict[str, Any]:
    """Return what stands in for those of *inputs* that may be missing."""
    return {
        f.name: default_of(f)
        for f in inputs
        if f.name in scope
        and (scope[f.name].hole or scope[f.name].later)
        and not _needs_value(f)
    }


def _needs_value(field: Field) -> bool:
    return field.required and not isinstance(field.type, Maybe)


def _no_history(*, has_session: bool) -> str:
    if has_session:
        return "history is for stages that ask an LM"
    return "reads history, but the file has no `session:`"
