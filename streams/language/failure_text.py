"""What a file says should follow once a stage has failed: its ``on_failure``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from streams.language.section import Section

_SAID: Final = "must be fail, skip, {default: {field: value}} or {stage: name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureText:
    """``fail``, ``skip``, ``{default: {...}}`` or ``{stage: name}``."""

    kind: Literal["fail", "skip", "default", "stage"] = "fail"
    default: Mapping[str, Any] = field(default_factory=dict)
    """The outputs to go on with."""
    stage: str = ""
    """The stage that stands in."""


FAIL_TEXT: Final = FailureText()


def read_on_failure(section: Section) -> FailureText:
    """Return what the entry *section* says; a request fails where it says nothing."""
    said = section.get("on_failure")
    if said is None or said == "fail":
        return FAIL_TEXT
    if said == "skip":
        return FailureText(kind="skip")
    if isinstance(said, Mapping) and len(said) == 1:
        inner = section.sub("on_failure")
        if inner.has("default"):
            return _default(inner.sub("default"))
        if inner.has("stage"):
            return _stage(inner.text("stage", needed=True))
    section.wrong("on_failure", _SAID)
    return FAIL_TEXT


def stand_in_of(entry: object) -> str:
    """Return the stage that stands in, so far as *entry* says one; else nothing.

    Of an entry that cannot be read, too: who is named there has a place.
    """
    said = entry.get("on_failure") if isinstance(entry, Mapping) else None
    name = said.get("stage") if isinstance(said, Mapping) else None
    return name if isinstance(name, str) else ""


def _default(given: Section) -> FailureText:
    if not given.readable:
        return FAIL_TEXT
    return FailureText(kind="default", default=given.values)


def _stage(name: str | None) -> FailureText:
    return FAIL_TEXT if name is None else FailureText(kind="stage", stage=name)
