"""The stage records that an app left: by request, in order, by iteration path."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from tests.integration.lab import Lab

ENDS = ("finished", "skipped")
"""Events after which a stage is not run again."""


@dataclass(frozen=True, slots=True)
class StageRecords:
    """The committed stage records of one pipeline."""

    by_request: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def of(cls, lab: Lab, pipeline: str) -> Self:
        """Read everything that is committed now."""
        found = defaultdict(list)
        for seen in lab.tail(lab.topic(pipeline, "stages")).all():
            value = lab.decode(pipeline, "stages", seen)
            found[value["request_id"]].append(value)
        return cls(found)

    def ended(self, request_id: str) -> dict[str, Mapping[str, Any]]:
        """Return the records of stages that ended, by path, in their order."""
        records = self.by_request.get(request_id, ())
        ends = [record for record in records if record["event"] in ENDS]
        twice = [p for p, n in Counter(r["path"] for r in ends).items() if n > 1]
        assert not twice, f"settled twice: {request_id}: {twice[:10]}"
        return {record["path"]: record for record in ends}

    def check_numbers(self, result: Mapping[str, Any]) -> None:
        """The records of a request count from 1 without a gap, up to its *result*'s."""
        request_id = result["request_id"]
        numbers = [r["sequence"] for r in self.by_request.get(request_id, ())]
        assert numbers == list(range(1, result["sequence"] + 1)), request_id

    def check_events(self, request_id: str) -> None:
        """A stage began before it ended, and again only under another worker."""
        begun: Counter[str] = Counter()
        for record in self.by_request.get(request_id, ()):
            path, event = record["path"], record["event"]
            match event:
                case "started":
                    assert record["attempts"] > begun[path], (request_id, path)
                    begun[path] = record["attempts"]
                case "finished":
                    assert begun[path], (request_id, path)
