"""Every topic there is: what it is for, how it is cleaned, how long it is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from streams.config import Settings

DAY_S: Final = 86_400
HOUR_S: Final = 3_600

Cleanup = Literal["delete", "compact", "compact,delete"]
Scope = Literal["pipeline", "app", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicShape:
    """A kind of topic; one row of ``TOPICS``."""

    role: str
    """Last part of the name, or the table of a changelog."""
    scope: Scope
    """How many there are: one per pipeline, per app, or per table of the app."""
    cleanup: Cleanup
    keep_s: int | None = None
    """Retention; None for ever, or as long as a setting says."""
    alone: bool = False
    """Whether it has one partition, and not those that share tables."""


TOPICS: Final = (
    TopicShape(role="requests", scope="pipeline", cleanup="delete", keep_s=7 * DAY_S),
    TopicShape(role="stages", scope="pipeline", cleanup="delete", keep_s=3 * DAY_S),
    TopicShape(role="results", scope="pipeline", cleanup="delete", keep_s=14 * DAY_S),
    TopicShape(role="chunks", scope="pipeline", cleanup="delete", keep_s=DAY_S),
    TopicShape(role="dlq", scope="pipeline", cleanup="delete", keep_s=30 * DAY_S),
    TopicShape(role="schemas", scope="app", cleanup="compact", alone=True),
    TopicShape(role="sessions", scope="table", cleanup="compact"),
    TopicShape(role="ledger", scope="table", cleanup="compact,delete"),
    TopicShape(role="journal", scope="table", cleanup="compact"),
    TopicShape(role="tasks", scope="table", cleanup="compact"),
)
"""``<prefix>.<pipeline>.<role>``, ``<prefix>.<role>``, ``<group>-<role>-changelog``."""

TOMBSTONES_S: Final = 7 * DAY_S
"""A store unseen for half of this is rebuilt: it may have missed tombstones."""

CHANGELOG_SEGMENT_BYTES: Final = 64 << 20
"""Compaction never touches the segment that is written to. At the default of 1 GiB a
restore would read hours of position records of which the last one counts."""

REASONS_BYTES: Final = 64 << 10
"""What a dead letter's reasons may add to the record that it is: a record that just
fits into its request topic fits into the DLQ as well."""

LEDGER_SEGMENT_S: Final = HOUR_S
"""As the ledger's own segments. Ids go when their whole segment is old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """One topic as it has to be."""

    name: str
    shape: TopicShape
    partitions: int
    replication: int
    config: Mapping[str, str]


def wanted(settings: Settings, pipelines: Iterable[str]) -> tuple[TopicSpec, ...]:
    """Return all topics of the app that runs *pipelines*, by name."""
    names = tuple(pipelines)
    specs = [
        TopicSpec(
            name=name,
            shape=shape,
            partitions=1 if shape.alone else settings.partitions,
            replication=settings.replication,
            config=_config(shape, settings),
        )
        for shape in TOPICS
        for name in _names(shape, settings, names)
    ]
    return tuple(sorted(specs, key=lambda spec: spec.name))


def changelogs(specs: Iterable[TopicSpec]) -> tuple[TopicSpec, ...]:
    """Return those of *specs* that keep a table."""
    return tuple(spec for spec in specs if spec.shape.scope == "table")


def _names(
    shape: TopicShape, settings: Settings, pipelines: tuple[str, ...]
) -> tuple[str, ...]:
    match shape.scope:
        case "pipeline":
            return tuple(f"{settings.prefix}.{p}.{shape.role}" for p in pipelines)
        case "app":
            return (f"{settings.prefix}.{shape.role}",)
        case "table":
            return (f"{settings.group}-{shape.role}-changelog",)


def _config(shape: TopicShape, settings: Settings) -> dict[str, str]:
    config = {
        "cleanup.policy": shape.cleanup,
        "max.message.bytes": str(settings.max_message_bytes),
        "min.insync.replicas": str(settings.min_insync_replicas),
    }
    if shape.role == "dlq":
        config["max.message.bytes"] = str(settings.max_message_bytes + REASONS_BYTES)
    if shape.keep_s is not None:
        config["retention.ms"] = _ms(shape.keep_s)
    if shape.scope == "table":
        config["delete.retention.ms"] = _ms(TOMBSTONES_S)
        config["segment.bytes"] = str(CHANGELOG_SEGMENT_BYTES)
    if shape.role == "ledger":
        # Longer than the window by a segment: an id never leaves too early.
        config["retention.ms"] = _ms(settings.ledger_window_s + LEDGER_SEGMENT_S)
        config["segment.ms"] = _ms(LEDGER_SEGMENT_S)
    return config


def _ms(seconds: float) -> str:
    return str(round(seconds * 1_000))
