"""A record as it came in: bytes and coordinates, nothing decoded."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from schemas.records import Source

ORIGIN: Final = "x-penstock-origin"
"""``topic partition offset`` of a record that we sent to its home once."""
REPLAY: Final = "x-penstock-replay"
"""How often a dead letter was offered again, from 1."""
ECHOED: Final = ("correlation-id", "traceparent", "tracestate")
"""Headers of a request that its records carry on, byte for byte."""
ECHOED_BYTES: Final = 1_024
"""Longer ones are not carried on: they could make a result too large to publish."""


class Record(Struct, frozen=True, kw_only=True):
    """One record of a request topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_ms: int = 0

    @property
    def source(self) -> Source:
        """Its coordinates here, after a re-route."""
        return Source(topic=self.topic, partition=self.partition, offset=self.offset)

    @property
    def size_bytes(self) -> int:
        """What it weighs while it waits."""
        return len(self.value or b"") + len(self.key or b"")

    def header(self, name: str) -> bytes | None:
        """Return the first header called *name*."""
        for found, value in self.headers:
            if found == name:
                return value
        return None


_INT: Final = 2**31
_LONG: Final = 2**63
_TOPIC_CHARS: Final = 249
"""Kafka's own bound."""
_DIGITS: Final = 9
"""Of the largest replay that fits Avro's int, whatever its digits."""


class HeaderError(ValueError):
    """One of our own headers says something that we never wrote."""

    code: Final = "request.header"

    def __init__(self, name: str, value: bytes) -> None:
        super().__init__(f"header {name} is {value[:80]!r}")


def origin_of(record: Record) -> Source | None:
    """Return where *record* entered, if it was re-routed; else None.

    Raises:
        HeaderError: the header cannot be read.
    """
    value = record.header(ORIGIN)
    if value is None:
        return None
    try:
        topic, partition, offset = value.decode().split(" ")
        source = Source(topic=topic, partition=int(partition), offset=int(offset))
    except ValueError:
        raise HeaderError(ORIGIN, value) from None
    # What Kafka can number, and we can store: anybody may send this header.
    fits = 0 <= source.partition < _INT and 0 <= source.offset < _LONG
    if not fits or len(source.topic) > _TOPIC_CHARS:
        raise HeaderError(ORIGIN, value)
    return source


def origin_header(source: Source) -> tuple[str, bytes]:
    """Return the header that a re-routed record carries."""
    return ORIGIN, f"{source.topic} {source.partition} {source.offset}".encode()


def replay_of(record: Record) -> int:
    """Return which replay *record* is; 0 for the first execution.

    Raises:
        HeaderError: the header cannot be read.
    """
    value = record.header(REPLAY)
    if value is None:
        return 0
    if not value.isdigit() or len(value) > _DIGITS:
        raise HeaderError(REPLAY, value)
    return int(value)
