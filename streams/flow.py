"""What flows from stage to stage: who makes a field, who takes it, and do they fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.problems import Problems, meant
from streams.signatures.fitting import fits
from streams.signatures.parse import Declared, Reading
from streams.signatures.types import Field, FieldType, HistoryType
from streams.signatures.validate import default_of
from streams.stage_file import StageText
from streams.stage_spec import StageKind, StageSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A stage in its place in the flow: all its fields have a type and a source."""

    spec: StageSpec
    takes: tuple[str, ...]
    """Inputs that somebody before it makes."""
    constants: Mapping[str, Any]
    """Inputs that nobody makes: their defaults."""
    outputs: tuple[Field, ...]
    """What it leaves: the outputs of its signature, and what its kind adds."""
    reads_history: bool


class Flow:
    """Follows the fields of a pipeline from its input through its stages.

    Where something before could not be read, fields that seem to be missing may be
    there after all: then nothing is said about them (*whole* is False).
    """

    def __init__(self, problems: Problems) -> None:
        self.whole = True
        self._problems = problems
        self._types: dict[str, FieldType] = {}
        self._makers: dict[str, str] = {}

    def begin(self, reading: Reading) -> tuple[Field, ...]:
        """Return the inputs of the pipeline; they are there from now on."""
        self.whole = self.whole and not reading.problems
        inputs = tuple(declared.typed(None) for declared in reading.inputs)
        for field in inputs:
            self._types[field.name] = field.type
            self._makers[field.name] = "the input of the pipeline"
        return inputs

    def through(
        self,
        stage: StageText,
        reading: Reading,
        kind: StageKind,
        *,
        has_session: bool,
    ) -> Placed:
        """Return *stage* as it stands behind everything before it."""
        inputs = tuple(self._taken(stage.path, declared) for declared in reading.inputs)
        sent = [f for f in inputs if not isinstance(f.type, HistoryType)]
        reads_history = len(sent) < len(inputs)
        if reads_history and not (has_session and kind.asks_lm):
            self._problems.add(stage.path, _no_history(has_session=has_session))
        spec = StageSpec(
            name=stage.name,
            inputs=inputs,
            outputs=tuple(declared.typed(None) for declared in reading.outputs),
            instructions=stage.instructions,
            target=stage.what,
            options=stage.options,
        )
        placed = Placed(
            spec=spec,
            takes=tuple(f.name for f in sent if f.name in self._types),
            constants={
                f.name: default_of(f) for f in sent if f.name not in self._types
            },
            outputs=kind.leaves(spec),
            reads_history=reads_history,
        )
        self.whole = self.whole and not reading.problems
        for field in placed.outputs:
            self._make(stage, field)
        return placed

    def end(self, reading: Reading) -> tuple[Field, ...]:
        """Return the outputs of the pipeline."""
        return tuple(self._taken("output", declared) for declared in reading.inputs)

    def _taken(self, path: str, declared: Declared) -> Field:
        name, made = declared.name, self._types.get(declared.name)
        field = declared.typed(made)
        if isinstance(field.type, HistoryType):
            return field
        if made is None:
            if self.whole and (declared.required or path == "output"):
                hint = meant(name, self._types)
                self._problems.add(path, f"nobody before makes {name}; {hint}")
        elif not fits(made, field.type):
            maker = self._makers[name]
            self._problems.add(
                path, f"{name} is {field.type} here, but {made} from {maker}"
            )
        return field

    def _make(self, stage: StageText, field: Field) -> None:
        name, before = field.name, self._types.get(field.name)
        if before is not None and not fits(field.type, before):
            maker = self._makers[name]
            self._problems.add(
                stage.path, f"makes {name} {field.type}, but {maker} made it {before}"
            )
        self._types[name] = field.type
        self._makers[name] = f"stage {stage.name}"


def _no_history(*, has_session: bool) -> str:
    if has_session:
        return "history is for stages that ask an LM"
    return "reads history, but the file has no `session:`"
