"""What happened, as the topics and the LM's log tell it: values, nothing judged yet."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class At(NamedTuple):
    """A record's place."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Key(NamedTuple):
    """What tells one execution from another."""

    pipeline: str
    home: str
    """The session's id, else the request's own."""
    request_id: str
    replay: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A record on a requests topic."""

    at: At
    pipeline: str
    home: bool
    """Whether key and partition are those of what it asks."""
    key: Key | None = None
    """None: it is no request."""
    session_id: str | None = None
    origin: At | None = None
    """Where it entered first, if we sent it home."""
    raw: tuple[bytes | None, bytes | None] = (None, None)
    """Key and value of a record that is no request."""
    sent_ms: int = 0

    @property
    def entered(self) -> At:
        return self.origin or self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """A record on a results topic."""

    at: At
    key: Key
    session_id: str | None
    status: str
    code: str
    failed_stage: str | None
    turn: int | None
    source: At | None
    written_ms: int
    """By its worker, a moment before its transaction was committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLeft:
    """A record on a stages topic."""

    at: At
    key: Key
    stage: str
    sequence: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A record on a dead letter topic."""

    at: At
    pipeline: str
    source: At
    code: str
    raw: tuple[bytes | None, bytes | None]
    truncated: int | None = None
    """The size of the record, where the dead letter topic did not take its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position record: what one owner of a partition said was finished."""

    at: At
    token: str
    number: int
    sources: Mapping[str, tuple[int, tuple[tuple[int, int], ...]]]

    def covers(self, at: At) -> bool:
        """Say whether it calls the record *at* finished."""
        if at.topic not in self.sources:
            return False
        following, ranges = self.sources[at.topic]
        return at.offset < following or any(a <= at.offset <= b for a, b in ranges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A record on a table's changelog."""

    at: At
    table: str
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to the LM, from its log."""

    name: str
    """``request/stage/ordinal``."""
    received_ms: int
    ended_ms: int | None = None
    status: int | None = None
    """None: nobody waited for the answer, or the LM died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch in a partition's log, as the broker has it on disk."""

    at: At
    last: int
    producer: int
    """-1: a producer without an id."""
    epoch: int
    transactional: bool
    outcome: str
    """``committed``, ``aborted``, ``open``; ``plain`` outside a transaction."""
    created_ms: int
    """When its last record was made, by the producer's clock."""
    ended_ms: int
    """When the marker of its transaction was written, by the broker's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A time in which a fault was at work."""

    fault: str
    target: str
    begin_ms: int
    healed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A look at a running worker.

    What only its metrics know is 0 while they do not answer: it was stopped.
    """

    at_ms: int
    worker: str
    pid: int
    rss_bytes: int
    files: int
    waiting_bytes: float
    running: float
    sockets: int = 0
    tasks: float = 0
    """Asyncio tasks."""
    clients: float = 0
    """Kafka clients that are open: producers, consumers, others."""


@dataclass(slots=True, kw_only=True)
class History:
    """Everything that was read. Lists grow in the order of each partition."""

    asked: list[Asked] = field(default_factory=list)
    terminals: list[Terminal] = field(default_factory=list)
    stages: list[StageLeft] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    calls: Sequence[Call] = ()
    batches: Mapping[tuple[str, int], Sequence[Batch]] = field(default_factory=dict)
    committed: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """The group's offsets."""
    ends: Mapping[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """Last stable offset and end of each partition, once all was quiet."""
    dumps: Mapping[str, Mapping[int, Mapping[bytes, bytes]]] = field(
        default_factory=dict
    )
    """Tables as a worker has them on disk: table, partition, key."""
    troubles: Sequence[Trouble] = ()
    samples: Sequence[Sample] = ()

    def tables(self) -> Mapping[str, Mapping[int, Mapping[bytes, bytes]]]:
        """Return what the changelogs add up to: table, partition, key."""
        folded: dict[str, dict[int, dict[bytes, bytes]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        for write in self.writes:
            partition = folded[write.table][write.at.partition]
            if write.value is None:
                partition.pop(write.key, None)
            else:
                partition[write.key] = write.value
        return folded


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """An invariant that did not hold, and what shows it."""

    invariant: int
    """1 to 11, as the reference counts them."""
    what: str
    """A sentence."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Topics, partitions, offsets, ids."""

    def __str__(self) -> str:
        shown = ", ".join(f"{k}={v}" for k, v in self.evidence.items())
        return f"I{self.invariant} {self.what} ({shown})"
