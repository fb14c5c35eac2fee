"""The shape of a pipeline file: which keys there are, and what they may hold.

Here is what one file says, each part by itself; whether the parts fit together is the
compiler's question (``streams/compiling/compiler.py``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from streams.language.failure_text import stand_in_of
from streams.language.flow_file import calls_others, read_flow
from streams.language.flow_text import Items
from streams.language.problems import Problems
from streams.language.section import Section
from streams.language.stage_file import StageText, read_stage
from streams.language.stage_spec import StageKind
from streams.language.tools import ToolText, read_tools
from streams.language.yaml_text import Plain
from streams.session import SessionPolicy
from streams.settlement import ProgressEvents
from streams.signatures.validate import EXTRAS, Extra

KEYS: Final = (
    "pipeline",
    "version",
    "input",
    "output",
    "types",
    "signatures",
    "extra",
    "progress",
    "session",
    "lms",
    "tools",
    "stages",
    "flow",
)
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

HISTORY_KEPT: Final = 20
MAX_HISTORY: Final = 1_000
MAX_VERSION: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineText:
    """One pipeline file."""

    name: str
    version: int
    input: str | None
    output: str | None
    types: Mapping[str, str]
    """Declared records: fields by name."""
    signatures: Section
    """Signatures of the file's own, which its stages may name."""
    extra: Extra
    progress: ProgressEvents
    session: SessionPolicy | None
    lms: Mapping[str, Mapping[str, Any] | None]
    """Options by name; None for what could not be read."""
    tools: Mapping[str, ToolText]
    stages: Mapping[str, StageText]
    named: frozenset[str]
    """All names under ``stages:``, those of unreadable stages too."""
    stand_ins: frozenset[str]
    """Names that stages say under ``on_failure``, unreadable ones too."""
    flow: Items
    flow_is_whole: bool
    """False where the flow says more than could be read."""


def read_pipeline(
    plain: Plain, kinds: Mapping[str, StageKind], problems: Problems
) -> PipelineText:
    """Return what a file says; what it does not say properly goes to *problems*."""
    top = Section(plain, "", problems)
    top.only(KEYS)
    flow = read_flow(top, problems)
    # A file may do nothing but call others.
    stages = top.sub("stages", needed=not calls_others(flow.items))
    read = [read_stage(name, stages.sub(name), kinds) for name in stages.names()]
    return PipelineText(
        name=_pipeline_name(top),
        version=_version(top),
        input=top.text("input", needed=True),
        output=top.text("output", needed=True),
        types=top.sub("types").texts(),
        signatures=top.sub("signatures"),
        extra=_extra(top),
        progress=_progress(top),
        session=_session(top) if top.has("session") else None,
        lms=_lms(top.sub("lms")),
        tools=read_tools(top.sub("tools")),
        stages={stage.name: stage for stage in read if stage is not None},
        named=frozenset(stages.values),
        stand_ins=frozenset(map(stand_in_of, stages.values.values())),
        flow=flow.items,
        flow_is_whole=flow.whole,
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


def _extra(top: Section) -> Extra:
    said = top.text("extra") or "drop"
    if said not in EXTRAS:
        top.wrong("extra", f"must be {', '.join(EXTRAS)}")
    return EXTRAS.get(said, "drop")


def _progress(top: Section) -> ProgressEvents:
    said = top.text("progress") or "finished"
    if said not in ("finished", "all"):
        top.wrong("progress", "must be finished or all")
    return "all" if said == "all" else "finished"


def _lms(section: Section) -> dict[str, Mapping[str, Any] | None]:
    found: dict[str, Mapping[str, Any] | None] = dict.fromkeys(section.values)
    for name in section.names():
        entry = section.sub(name)
        if entry.readable and entry.text("model", needed=True) is not None:
            found[name] = entry.values
    return found
