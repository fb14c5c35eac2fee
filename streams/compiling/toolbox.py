"""What pipelines are made of besides their files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streams.compiling.opened_lms import CheckLM, OpenLM, nothing_wrong
from streams.language.stage_spec import StageKind
from streams.language.web import Web
from streams.signatures.library import NO_LIBRARY, Library
from streams.user_code import UserCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """Kinds of stages, LMs and user code; ``streams/catalog.py`` has what there is."""

    kinds: Mapping[str, StageKind]
    open_lm: OpenLM
    check_lm: CheckLM = nothing_wrong
    """Of an LM that no stage asks, and that is not opened."""
    code: UserCode
    web: Web = field(default_factory=Web)
    """What stages may see of the outside."""
    folder: Path | None = None
    """Where the pipeline files are, and what they name beside them."""
    library: Library = NO_LIBRARY
    """The signatures of that folder."""
