"""What the compiler hands to the builder of a stage, and what kinds of builders are."""

from collections.abc import Callable
from dataclasses import dataclass

from streams.signatures.parse import Reading
from streams.signatures.types import Field
from streams.stage import LM, Stage
from streams.user_code import UserCode


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """One stage of a pipeline file, once every check has passed."""

    name: str
    inputs: tuple[Field, ...]
    """In the order of the signature. One of them may be ``history`` (of
    :class:`~streams.signatures.types.HistoryType`): its value is ``run.history``
    and is missing from the fields that the stage is called with."""
    outputs: tuple[Field, ...]
    instructions: str = ""
    target: str | None = None
    """Where user code is, ``module:function``; None for a kind that needs none."""
    inline: bool = False
    """Whether user code that blocks may run on the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsksLM:
    """A kind of stage that is written as a signature and asks an LM."""

    build: Callable[[StageSpec, LM], Stage]
    """Raises ConfigError where DSPy cannot have the signature."""
    leaves: Callable[[StageSpec], tuple[Field, ...]]
    """All outputs of a stage: those of its signature, and what the kind adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsCode:
    """A kind of stage that is written as a function of the user's and runs it."""

    build: Callable[[StageSpec, UserCode], Stage]
    describe: Callable[[str, UserCode], Reading]
    """The signature of the function at a target, where the file states none."""


StageKind = AsksLM | RunsCode
