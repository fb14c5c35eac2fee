"""The keys of a ``program`` stage: which program, and with which saved state.

classify: {program: "ticket -> category", state: programs/classify.json}
answer: {program: "question -> answer", class: "examples.rag:Rag", threads: 4}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from streams.language.section import Section

PROGRAM_KEYS: Final = ("state", "module", "class", "threads")

ModuleKind = Literal["predict", "reason", "react"]

MOST_THREADS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramUse:
    """What a ``program`` stage asks."""

    state: str | None
    """A path below the folder of pipelines; None for a program as it is written."""
    module: ModuleKind
    """DSPy's module on the signature of the stage, unless there is a *target*."""
    target: str | None
    """``module:Class`` of the user's."""
    threads: int | None
    """How many at once of a *target* that has only ``forward``."""


def read_program(section: Section) -> Mapping[str, Any]:
    """Return the option ``program`` of an entry."""
    target, state = section.text("class"), section.text("state")
    threads = section.whole("threads", low=1, high=MOST_THREADS)
    if threads is None and section.has("threads"):
        # Wrong, and told; but not missing.
        threads = 1
    if target is None and not section.has("state"):
        section.wrong("state", "is missing; without one, predict and reason do it")
    if target is None and threads is not None:
        section.wrong("threads", "is for a `class` that has only forward")
    if target is not None and section.has("module"):
        section.wrong("module", "the stage has a class already")
    module = _module(section)
    if module != "react" and section.has("tools"):
        section.wrong("tools", "are for `module: react`")
    use = ProgramUse(state=state, module=module, target=target, threads=threads)
    return {"program": use}


def _module(section: Section) -> ModuleKind:
    said = section.text("module") or "predict"
    for kind in get_args(ModuleKind):
        if said == kind:
            return kind  # type: ignore[no-any-return] # one of the literals
    section.wrong("module", "must be predict, reason or react")
    return "predict"
