"""What is finished for good when a worker dies: all that was committed until then."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from streams.journal import CallEntry, Entry, unpack
from tests.integration.lab import Lab
from tests.integration.reading import Seen
from tests.integration.stage_records import StageRecords

SOLVE: Final = "solve"
"""The stage whose LM calls tools."""
ORDER: Final = re.compile(r"r\d+/\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The committed stages and calls of the requests to one pipeline."""

    stages: frozenset[tuple[str, str]]
    """Request and path."""
    calls: frozenset[str]
    """In the journal: ``request/site/ordinal``, of LM calls and tool calls."""
    told: frozenset[str]
    """Tool calls in the journal, by what they were given: ``request/turn``."""

    @classmethod
    def of(cls, lab: Lab, pipeline: str) -> Self:
        """Read it; nobody may be committing meanwhile."""
        calls, told = set(), set()
        for key, value in lab.changelog("journal").items():
            entry = unpack(value)
            if isinstance(entry, CallEntry):
                calls.add(f"{_request_of(key)}/{entry.site}/{entry.ordinal}")
                if _is_of_tool(entry):
                    told.update(ORDER.findall(entry.text))
        records = StageRecords.of(lab, pipeline)
        stages = [(r, path) for r in records.by_request for path in records.ended(r)]
        return cls(
            stages=frozenset(stages), calls=frozenset(calls), told=frozenset(told)
        )

    def of_these(self, calls: Iterable[str]) -> set[str]:
        """Return those of *calls* that are finished, ``request/site/ordinal``."""
        return {call for call in calls if self._has(call)}

    def has_told(self, order: str) -> bool:
        """Say whether the tool call for *order*, ``request/turn``, is finished."""
        return (
            order in self.told
            or (order.split("/", maxsplit=1)[0], SOLVE) in self.stages
        )

    def _has(self, call: str) -> bool:
        if call in self.calls:
            return True
        request_id, *site = call.split("/")[:-1]
        # A site may be a branch of its stage.
        paths = ("/".join(site[:n]) for n in range(1, len(site) + 1))
        return any((request_id, path) in self.stages for path in paths)


def is_tool_call(seen: Seen) -> bool:
    """Say whether this record of the journal's changelog keeps a tool call."""
    if seen.key.startswith(b"\0") or seen.value is None:
        return False
    return _is_of_tool(unpack(seen.value))


def _is_of_tool(entry: Entry) -> bool:
    # The digest of an LM call is its digits alone.
    return isinstance(entry, CallEntry) and entry.digest.startswith("find_")


def _request_of(key: bytes) -> str:
    run, _, _ = key.partition(b"\0\0")
    _, _, request_id, _ = run.split(b"\0")
    return request_id.decode()
