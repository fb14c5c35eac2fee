"""One entry under ``stages:`` of a pipeline file: which keys it has, by its kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streams.language.failure_text import FAIL_TEXT, FailureText, read_on_failure
from streams.language.problems import meant
from streams.language.section import Section
from streams.language.stage_spec import StageKind

# An LM that has not answered after a minute has most often lost the call.
LM_TIMEOUT_S: Final = 60.0
LM_ATTEMPTS: Final = 3
MAX_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StageText:
    """One entry under ``stages:``."""

    name: str
    kind: str
    what: str
    """The signature, or the target of user code; empty where it cannot be read."""
    lm: str | None = None
    instructions: str = ""
    signature: str | None = None
    """Of user code, where the file states one."""
    timeout_s: float | None = None
    attempts: int = 1
    on_failure: FailureText = FAIL_TEXT
    """What follows when no attempt is left."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the kind's own keys say."""
    said: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The entry as it stands, to be written again: ``8s`` and ``8000ms`` mean one."""

    @property
    def path(self) -> str:
        """Where the file says what the stage does."""
        return f"stages.{self.name}.{self.kind}"


def read_stage(
    name: str, section: Section, kinds: Mapping[str, StageKind]
) -> StageText | None:
    """Return what the file says of stage *name*; None where it says no kind."""
    if not section.readable:
        return None
    said = _kind(section, kinds)
    if said is None:
        # What means the same in all kinds is looked at all the same.
        _policies(section)
        return None
    kind, what = kinds[said], section.text(said, needed=True)
    section.only((said, *stage_keys(kind)))
    if kind.asks_lm and section.has("stream"):
        section.wrong("stream", "is not supported yet")
    timeout_s, attempts, on_failure = _policies(section)
    usual_s, usual = (LM_TIMEOUT_S, LM_ATTEMPTS) if kind.asks_lm else (None, 1)
    return StageText(
        name=name,
        kind=said,
        what=what or "",
        lm=section.text("lm") if kind.asks_lm else None,
        instructions=(section.text("instructions") or "") if kind.asks_lm else "",
        signature=section.text("signature") if kind.describe else None,
        timeout_s=timeout_s or usual_s,
        attempts=attempts or usual,
        on_failure=on_failure,
        options=kind.read(section),
        said=section.values,
    )


def stage_keys(kind: StageKind) -> tuple[str, ...]:
    """Return the keys that a stage of *kind* may have besides its kind."""
    lms = ("lm", "instructions", "stream") if kind.asks_lm else ()
    described = ("signature",) if kind.describe else ()
    return ("timeout", "attempts", "on_failure", *lms, *described, *kind.keys)


def _policies(section: Section) -> tuple[float | None, int | None, FailureText]:
    attempts = section.whole("attempts", low=1, high=MAX_ATTEMPTS)
    return section.seconds("timeout"), attempts, read_on_failure(section)


def _kind(section: Section, kinds: Mapping[str, StageKind]) -> str | None:
    named = [key for key in section.values if key in kinds]
    if len(named) == 1:
        return named[0]
    if named:
        section.wrong("", f"is of one kind only, not {' and '.join(named)}")
    else:
        unknown = next(iter(section.values), "")
        section.wrong("", f"says no kind of stage; {meant(unknown, kinds)}")
    return None
