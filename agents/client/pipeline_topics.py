"""The topics of one pipeline as the broker has them: there, and with N partitions."""

from dataclasses import dataclass

from agents.failures import PipelineTopicsError
from agents.kafka_admin import admin_of
from agents.routing import home_partition
from agents.serde import Topics
from streams.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineTopics:
    """The topics of one pipeline, and where a key is at home in each of them."""

    names: Topics
    partitions: int
    """Of each of them: they share tables."""

    def home(self, key: str) -> int:
        """Return the partition of the records with *key*."""
        return home_partition(key, self.partitions)


async def find_topics(settings: Settings, pipeline: str) -> PipelineTopics:
    """Ask the broker for the topics of *pipeline*.

    Raises:
        BrokerUnreachableError: no broker answers.
        PipelineTopicsError: topics are missing, or have different partitions.
    """
    names = Topics.of(settings.prefix, pipeline)
    async with admin_of(settings.bootstrap) as admin:
        # All of them: asked by name, a broker may create what it does not have.
        there = {
            t["topic"]: len(t["partitions"]) for t in await admin.describe_topics()
        }
    wanted = (names.requests, names.stages, names.results, names.dlq)
    missing = [name for name in wanted if name not in there]
    counts = {there[name] for name in wanted if name in there}
    if missing or len(counts) > 1:
        known = _pipelines(settings.prefix, there)
        raise PipelineTopicsError(pipeline, missing, known)
    return PipelineTopics(names=names, partitions=counts.pop())


def _pipelines(prefix: str, topics: dict[str, int]) -> list[str]:
    """Return the pipelines whose requests have a topic among *topics*."""
    return sorted(
        name.removeprefix(f"{prefix}.").removesuffix(".requests")
        for name in topics
        if name.startswith(f"{prefix}.") and name.endswith(".requests")
    )
