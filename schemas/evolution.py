"""May this version of a pipeline follow that one? And if not, who breaks?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.compatibility import Level, incompatibilities
from schemas.differences import Difference, differences
from schemas.identity import AvroSchema, normalise, parse_json
from schemas.promises import Positions

MESSAGES: Final[Mapping[str, Level]] = {
    "Request": "BACKWARD_TRANSITIVE",
    "StageResult": "FORWARD_TRANSITIVE",
    "Result": "FORWARD_TRANSITIVE",
}
"""What a pipeline reads and writes, and the level of its topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The schemas of one version of a pipeline."""

    label: str
    """How sentences call it: ``version 1``."""
    schemas: Mapping[str, AvroSchema]
    """By message; one that is missing has none to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution:
    """What happened to one message between two versions."""

    message: str
    level: Level
    old: str
    """Label of the old version."""
    differences: tuple[Difference, ...]
    refused: bool
    """Whether a registry refuses the new schema: Avro's rules alone decide that."""

    @property
    def who(self) -> str:
        """Say who breaks where somebody does."""
        if self.level == "BACKWARD_TRANSITIVE":
            return f"producers that still send {self.old}"
        return f"consumers that read with {self.old}"

    @property
    def breaking(self) -> tuple[Difference, ...]:
        """Those of the differences that break somebody."""
        return tuple(found for found in self.differences if found.breaks)

    def __str__(self) -> str:
        reasons = "; ".join(map(str, self.breaking))
        return f"{self.who} break: {reasons}" if reasons else "nobody breaks"


def evolutions(
    old: Version, new: Version, positions: Positions = lambda _text: None
) -> Iterator[Evolution]:
    """Compare each message that both versions have.

    Raises:
        InvalidSchemaError: a schema is none.
    """
    for message, level in MESSAGES.items():
        if message in old.schemas and message in new.schemas:
            yield _evolution(message, level, old, new, positions)


def _evolution(
    message: str, level: Level, old: Version, new: Version, positions: Positions
) -> Evolution:
    before, after = (normalise(version.schemas[message]) for version in (old, new))
    found = differences(level, parse_json(before), parse_json(after), positions)
    judged = incompatibilities(level, after, before)
    if judged and not any(each.breaks for each in found):
        # Avro's own checker has the last word: a registry asks nobody else.
        told = [Difference(path=message, what=why, breaks=True) for why in judged]
        found = (*found, *told)
    return Evolution(
        message=message,
        level=level,
        old=old.label,
        differences=found,
        refused=bool(judged),
    )
