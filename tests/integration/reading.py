"""Reading topics as a user would: librdkafka, committed records only."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from confluent_kafka import Consumer, KafkaError, TopicPartition

POLL_S: Final = 0.1
END_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One committed record."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int

    def header(self, name: str) -> bytes | None:
        """Return the last header called *name*."""
        return dict(self.headers).get(name)


class Tail:
    """A topic from its beginning on; grows as records are committed."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self.topic = topic
        self._bootstrap = bootstrap
        self.records: list[Seen] = []
        self._tps = [TopicPartition(topic, p, 0) for p in range(partitions)]
        self._ends = dict.fromkeys(range(partitions), -1)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "log_level": 0,
                "group.id": "integration-tests",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                # Deleted and made again: read on, do not complain.
                "allow.auto.create.topics": False,
            }
        )
        self._consumer.assign(self._tps)

    def all(self) -> list[Seen]:
        """Return everything that is committed at this moment."""
        until_s = time.perf_counter() + END_WITHIN_S
        # Under read_committed the high watermark is the last stable offset.
        ends = {
            tp.partition: self._consumer.get_watermark_offsets(tp, timeout=10)[1]
            for tp in self._tps
        }
        while any(self._ends[p] < end for p, end in ends.items()):
            assert time.perf_counter() < until_s, f"{self.topic}: no end of {ends}"
            self._poll()
        return self.records

    def until(
        self, enough: Callable[[Sequence[Seen]], object], *, within_s: float, what: str
    ) -> list[Seen]:
        """Return the records once *enough* of them are there."""
        until_s = time.perf_counter() + within_s
        while not enough(self.records):
            assert time.perf_counter() < until_s, (
                f"{self.topic}: not within {within_s:g} s: {what}; "
                f"there are {len(self.records)} records"
            )
            self._poll()
        return self.records

    def nothing_open(self) -> bool:
        """Say whether no transaction holds back what was written."""
        plain = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "log_level": 0,
                "group.id": "integration-tests",
                "isolation.level": "read_uncommitted",
            }
        )
        try:
            return all(
                plain.get_watermark_offsets(tp, timeout=10)
                == self._consumer.get_watermark_offsets(tp, timeout=10)
                for tp in self._tps
            )
        finally:
            plain.close()

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _poll(self) -> None:
        for message in self._consumer.consume(1_000, POLL_S):
            error = message.error()
            if error is None:
                self.records.append(_seen(message))
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name
                self._ends[message.partition()] = message.offset()


def _seen(message: object) -> Seen:
    return Seen(
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
        timestamp_ms=message.timestamp()[1],
    )
