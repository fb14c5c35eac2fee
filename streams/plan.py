"""A compiled pipeline, as a value: everything a run needs, checked beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.shapes import (
    or_null,
    request_schema,
    result_schema,
    stage_result_schema,
)
from streams.planned import Node, PlannedStage
from streams.session import SessionPolicy
from streams.settlement import ProgressEvents
from streams.signatures.avro import avro_fields
from streams.signatures.types import Field
from streams.signatures.validate import Validator
from streams.stage import LM, Connected


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Stages in a flow, under a name and a version."""

    name: str
    version: int
    fingerprint: str
    """Changes whenever other outputs may follow from the same request: a journal of
    another fingerprint is not continued. Timeouts, attempts and widths are no part
    of it."""
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    session: SessionPolicy | None
    stages: tuple[PlannedStage, ...]
    """In the order of the flow; one that only stands in for another is behind it."""
    flow: Node
    """When they run."""
    lms: tuple[LM, ...]
    """Those that its stages ask."""
    validator: Validator
    """Of *inputs*."""
    versions: Mapping[str, str]
    """``program@fingerprint`` by stage."""
    progress: ProgressEvents = "finished"
    """Of which events there are stage records."""
    may_lack: frozenset[str] = frozenset()
    """Outputs that may be holes: null in a ``PARTIAL`` result, so its schema says."""

    @property
    def uses_session(self) -> bool:
        """Whether its requests are turns of a session."""
        return self.session is not None

    def available(self) -> bool:
        """Return False while one of its LMs is down."""
        return all(lm.available() for lm in self.lms)

    def request_schema(self, namespace: str) -> dict[str, Any]:
        """Return the Avro schema of its requests.

        *namespace* is the prefix of topics and the pipeline: ``penstock.support``.
        """
        return request_schema(namespace, avro_fields(self.inputs))

    def stage_result_schema(self, namespace: str) -> dict[str, Any]:
        """Return the Avro schema of its stage records."""
        stages = {s.name: avro_fields(s.outputs) for s in self.stages}
        return stage_result_schema(namespace, stages)

    def result_schema(self, namespace: str) -> dict[str, Any]:
        """Return the Avro schema of its results."""
        fields = avro_fields(self.outputs)
        return result_schema(
            namespace,
            [or_null(f) if f["name"] in self.may_lack else f for f in fields],
        )

    async def aclose(self) -> None:
        """Close the connections of its LMs and stages."""
        for lm in self.lms:
            await lm.aclose()
        for planned in self.stages:
            if isinstance(planned.stage, Connected):
                await planned.stage.aclose()
