"""What kinds of stages there are, and what the compiler hands to their builders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.errors import ConfigError
from streams.language.section import Section
from streams.language.tools import Tool
from streams.language.web import Web
from streams.signatures.parse import Reading
from streams.signatures.types import Field
from streams.stage import LM, Stage
from streams.user_code import UserCode


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """One stage of a pipeline file, once every check has passed."""

    name: str
    kind: str = ""
    """What the file calls its kind: ``predict``."""
    inputs: tuple[Field, ...]
    """In the order of the signature. One of them may be ``history`` (of
    :class:`~streams.signatures.types.HistoryType`): its value is ``run.history``
    and is missing from the fields that the stage is called with."""
    outputs: tuple[Field, ...]
    instructions: str = ""
    target: str | None = None
    """Where user code is, ``module:function``; None for a kind that needs none."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the kind's own keys say, as its ``read`` returned it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What a builder may use besides the spec."""

    code: UserCode
    lm: LM | None = None
    """The LM of the stage, if its kind asks one."""
    tools: Mapping[str, Tool] = field(default_factory=dict)
    """What the file has under ``tools:``."""
    folder: Path | None = None
    """Where the pipeline files are, and what they name beside them."""

    web: Web = field(default_factory=Web)
    """What of the outside its kind may see."""

    @property
    def asked(self) -> LM:
        """The LM of a stage whose kind asks one."""
        if self.lm is None:
            raise ConfigError(["asks an LM, and none was given"])
        return self.lm


def no_options(_section: Section) -> Mapping[str, Any]:
    """Read nothing: most kinds have no keys of their own."""
    return {}


def nothing_alone(_spec: StageSpec, _shop: Workshop) -> Sequence[str]:
    """Find nothing: what most kinds say has a meaning for certain fields only."""
    return ()


def outputs_as_written(spec: StageSpec) -> tuple[Field, ...]:
    """Return the outputs of the signature: most kinds add none."""
    return spec.outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class StageKind:
    """A kind of stage: how its entry in a file is read, and how it is built."""

    build: Callable[[StageSpec, Workshop], Stage]
    """Raises ConfigError, with every problem, where no such stage can be had."""
    asks_lm: bool = False
    """Its entry may have ``lm`` and ``instructions``, and it may read the history."""
    leaves: Callable[[StageSpec], tuple[Field, ...]] = outputs_as_written
    """All outputs of a stage: those of its signature, and what the kind adds."""
    describe: Callable[[str, UserCode], Reading] | None = None
    """Of a kind that is written as a target, ``module:function``: the signature of
    what is there, where ``signature:`` states none. The other kinds are written as
    their signature."""
    keys: tuple[str, ...] = ()
    """Keys of its own."""
    read: Callable[[Section], Mapping[str, Any]] = no_options
    """From the entry to options; what is wrong goes to the section."""
    alone: Callable[[StageSpec, Workshop], Sequence[str]] = nothing_alone
    """What is wrong with a stage whose fields are not all known, whatever they are:
    such a one is not built. Each sentence begins with its key."""
