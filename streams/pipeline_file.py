"""The shape of a pipeline file: which keys there are, and what they may hold.

Here is what one file says, each part by itself; whether the parts fit together is the
compiler's question (``streams/pipeline.py``).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.plan import SessionPolicy
from streams.problems import Problems, meant
from streams.section import Section
from streams.signatures.validate import EXTRAS, Extra
from streams.stage_spec import RunsCode, StageKind
from streams.yaml_text import Plain

KEYS: Final = (
    "pipeline",
    "version",
    "input",
    "output",
    "types",
    "extra",
    "session",
    "lms",
    "stages",
    "flow",
)
LATER_KINDS: Final = ("react", "program", "template", "validate", "metric", "http")
LATER_FLOW: Final = ("parallel", "when", "map", "loop", "fallback", "pipeline")
RESERVED: Final = (
    # Second parts of topic names that are not pipelines'.
    "alerts",
    "control",
    "feedback",
    "jobs",
    "programs",
    "schemas",
    "sessions",
    "telemetry",
    "variables",
)

# A part of topic names and of Avro namespaces: lower case, because topics that differ
# in case only are a trap.
_PIPELINE_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")

# An LM that has not answered after a minute has most often lost the call.
LM_TIMEOUT_S: Final = 60.0
LM_ATTEMPTS: Final = 3

HISTORY_KEPT: Final = 20
MAX_HISTORY: Final = 1_000
MAX_ATTEMPTS: Final = 20
MAX_VERSION: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StageText:
    """One entry under ``stages:``."""

    name: str
    kind: str
    what: str
    """The signature, or the target of user code."""
    lm: str | None = None
    instructions: str = ""
    signature: str | None = None
    inline: bool = False
    timeout_s: float | None = None
    attempts: int = 1

    @property
    def path(self) -> str:
        """Where the file says what the stage does."""
        return f"stages.{self.name}.{self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineText:
    """One pipeline file."""

    name: str
    version: int
    input: str | None
    output: str | None
    types: Mapping[str, str]
    """Declared records: fields by name."""
    extra: Extra
    session: SessionPolicy | None
    lms: Mapping[str, Mapping[str, Any] | None]
    """Options by name; None for what could not be read."""
    stages: Mapping[str, StageText]
    named: frozenset[str]
    """All names under ``stages:``, those of unreadable stages too."""
    flow: tuple[str, ...]
    flow_is_whole: bool
    """False where the flow names more than could be read."""


def read_pipeline(
    plain: Plain, kinds: Mapping[str, StageKind], problems: Problems
) -> PipelineText:
    """Return what a file says; what it does not say properly goes to *problems*."""
    top = Section(plain, "", problems)
    top.only(KEYS)
    stages = top.sub("stages", needed=True)
    flow, flow_is_whole = _flow(top)
    read = [_stage(name, stages.sub(name), kinds) for name in stages.names()]
    return PipelineText(
        name=_pipeline_name(top),
        version=_version(top),
        input=top.text("input", needed=True),
        output=top.text("output", needed=True),
        types=_types(top.sub("types")),
        extra=_extra(top),
        session=_session(top) if top.has("session") else None,
        lms=_lms(top.sub("lms")),
        stages={stage.name: stage for stage in read if stage is not None},
        named=frozenset(stages.values),
        flow=flow,
        flow_is_whole=flow_is_whole,
    )


def _pipeline_name(top: Section) -> str:
    name = top.name("pipeline")
    if name is None:
        return ""
    if not _PIPELINE_NAME.fullmatch(name):
        top.wrong("pipeline", f"{name!r} is not lower case, a part of topic names")
    elif name in RESERVED:
        top.wrong("pipeline", f"{name!r} is the name of topics that penstock has")
    return name


def _version(top: Section) -> int:
    if not top.has("version"):
        top.wrong("version", "is missing")
    return top.whole("version", low=1, high=MAX_VERSION) or 1


def _session(top: Section) -> SessionPolicy:
    section = top.sub("session")
    section.only(("ttl", "history"))
    keep = section.whole("history", low=0, high=MAX_HISTORY)
    return SessionPolicy(
        ttl_s=section.seconds("ttl"), keep=HISTORY_KEPT if keep is None else keep
    )


def _types(section: Section) -> dict[str, str]:
    texts = {name: section.text(name, needed=True) for name in section.names()}
    return {name: text for name, text in texts.items() if text is not None}


def _extra(top: Section) -> Extra:
    said = top.text("extra") or "drop"
    if said not in EXTRAS:
        top.wrong("extra", f"must be {', '.join(EXTRAS)}")
    return EXTRAS.get(said, "drop")


def _lms(section: Section) -> dict[str, Mapping[str, Any] | None]:
    found: dict[str, Mapping[str, Any] | None] = dict.fromkeys(section.values)
    for name in section.names():
        entry = section.sub(name)
        if entry.readable and entry.text("model", needed=True) is not None:
            found[name] = entry.values
    return found


def _stage(
    name: str, section: Section, kinds: Mapping[str, StageKind]
) -> StageText | None:
    kind = _kind(section, kinds) if section.readable else None
    what = None if kind is None else section.text(kind, needed=True)
    if kind is None or what is None:
        return None
    if isinstance(kinds[kind], RunsCode):
        return _code_stage(name, kind, what, section)
    return _lm_stage(name, kind, what, section)


def _kind(section: Section, kinds: Mapping[str, StageKind]) -> str | None:
    named = [key for key in section.values if key in kinds or key in LATER_KINDS]
    if len(named) == 1 and named[0] in kinds:
        return named[0]
    if len(named) == 1:
        section.wrong(named[0], "this kind of stage is not supported yet")
    elif named:
        section.wrong("", f"is of one kind only, not {' and '.join(named)}")
    else:
        unknown = next(iter(section.values), "")
        section.wrong("", f"says no kind of stage; {meant(unknown, kinds)}")
    return None


def _lm_stage(name: str, kind: str, what: str, section: Section) -> StageText:
    section.only((kind, "lm", "timeout", "attempts", "instructions", "stream"))
    if section.has("stream"):
        section.wrong("stream", "is not supported yet")
    return StageText(
        name=name,
        kind=kind,
        what=what,
        lm=section.text("lm"),
        instructions=section.text("instructions") or "",
        timeout_s=section.seconds("timeout") or LM_TIMEOUT_S,
        attempts=section.whole("attempts", low=1, high=MAX_ATTEMPTS) or LM_ATTEMPTS,
    )


def _code_stage(name: str, kind: str, what: str, section: Section) -> StageText:
    section.only((kind, "signature", "inline", "timeout"))
    inline = section.truth("inline")
    if inline and section.has("timeout"):
        section.wrong("timeout", "nothing can interrupt an inline function")
    return StageText(
        name=name,
        kind=kind,
        what=what,
        signature=section.text("signature"),
        inline=inline,
        timeout_s=section.seconds("timeout"),
    )


def _flow(top: Section) -> tuple[tuple[str, ...], bool]:
    """Return the stages that the flow names, and whether that is all it says."""
    items = top.get("flow")
    if not (isinstance(items, list) and items):
        top.wrong("flow", "must be a list of stages, in the order in which they run")
        return (), False
    found: list[str] = []
    for index, item in enumerate(items, start=1):
        problem = _flow_problem(item, found)
        if problem is None:
            found.append(item)
        else:
            top.wrong(f"flow.{index}", problem)
    return tuple(found), len(found) == len(items)


def _flow_problem(item: object, before: Sequence[str]) -> str | None:
    if isinstance(item, Mapping):
        later = [key for key in item if key in LATER_FLOW]
        what = ", ".join(later or map(str, item)) or "an empty mapping"
        return f"{what} is not supported yet; name one stage"
    if not isinstance(item, str):
        return "must be the name of a stage"
    return f"{item} runs twice" if item in before else None
