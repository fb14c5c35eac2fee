"""Reading a whole app back: all its topics, with a consumer that is not penstock's."""

import json
import struct
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.faults.avro import NotOursError, Schemas
from tests.faults.history import (
    Asked,
    At,
    History,
    Key,
    Letter,
    Position,
    StageLeft,
    Terminal,
    Write,
)
from tests.faults.murmur import home

TABLES: Final = ("sessions", "ledger", "journal", "tasks")
ROLES: Final = ("requests", "results", "stages", "dlq")
ORIGIN: Final = "x-penstock-origin"
REPLAY: Final = "x-penstock-replay"
TRUNCATED: Final = "x-penstock-truncated"
REQUEST_BYTES: Final = 1_048_576
"""What a request may have; more is none."""
READ_WITHIN_S: Final = 60.0
ASK_WITHIN_S: Final = 10.0


class NoBrokerError(Exception):
    """The broker does not answer; ask again later."""


class Reader:
    """Adds what is committed on an app's topics to a :class:`History`."""

    def __init__(
        self, bootstrap: str, prefix: str, pipelines: Sequence[str], partitions: int
    ) -> None:
        self.history = History()
        self.partitions = partitions
        self.prefix = prefix
        self.group = f"{prefix}-main"
        self.pipelines = tuple(pipelines)
        self._schemas = Schemas()
        self._bootstrap = bootstrap
        self._admin = self._new_admin()
        self._consumer = self._new_consumer()
        self.errors: Counter[str] = Counter()
        """What librdkafka said that is neither a record nor an end."""
        tps = [(t, p) for t in self.topics() for p in range(self._partitions_of(t))]
        self._at = dict.fromkeys(tps, 0)
        self._adders = {
            "requests": self._add_asked,
            "results": self._add_terminal,
            "stages": self._add_stage,
            "dlq": self._add_letter,
        }
        # Schemas first: without them nothing can be read.
        self._consumer.assign([TopicPartition(self._schema_topic, 0, 0)])
        ends = self.ends()
        self.read({tp: end for tp, end in ends.items() if tp[0] == self._schema_topic})
        self._consumer.assign([TopicPartition(t, p, self._at[t, p]) for t, p in tps])

    def topics(self) -> tuple[str, ...]:
        """Return the names of all topics that are read."""
        return (
            self._schema_topic,
            *(f"{self.prefix}.{p}.{role}" for p in self.pipelines for role in ROLES),
            *(f"{self.group}-{table}-changelog" for table in TABLES),
        )

    def ends(self, *, committed: bool = True) -> Mapping[tuple[str, int], int]:
        """Return the last stable offsets; without *committed*, the ends.

        Raises:
            NoBrokerError: nobody answered.
        """
        isolation = (
            IsolationLevel.READ_COMMITTED
            if committed
            else IsolationLevel.READ_UNCOMMITTED
        )
        wanted = {TopicPartition(t, p): OffsetSpec.latest() for t, p in self._at}
        try:
            asked = self._admin.list_offsets(
                wanted, isolation_level=isolation, request_timeout=ASK_WITHIN_S
            )
            return {
                (tp.topic, tp.partition): future.result(ASK_WITHIN_S).offset
                for tp, future in asked.items()
            }
        except (KafkaException, TimeoutError) as error:
            # After a restart it keeps asking with the leader epoch of before.
            self._admin = self._new_admin()
            raise NoBrokerError from error

    def committed(self) -> Mapping[tuple[str, int], int]:
        """Return the group's offsets.

        Raises:
            NoBrokerError: nobody answered.
        """
        request = [ConsumerGroupTopicPartitions(self.group)]
        try:
            [future] = self._admin.list_consumer_group_offsets(
                request, request_timeout=ASK_WITHIN_S
            ).values()
            found = future.result(ASK_WITHIN_S).topic_partitions
        except (KafkaException, TimeoutError) as error:
            raise NoBrokerError from error
        return {(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0}

    def read(
        self, ends: Mapping[tuple[str, int], int], within_s: float = READ_WITHIN_S
    ) -> None:
        """Read on until everything below *ends* is in the history.

        Raises:
            NoBrokerError: that took too long.
        """
        until_s = time.perf_counter() + within_s
        while any(self._at[tp] < end for tp, end in ends.items()):
            if time.perf_counter() > until_s:
                self._begin_anew()
                raise NoBrokerError
            self.poll(0.2)

    def poll(self, within_s: float) -> None:
        """Read what comes in the next moment."""
        for message in self._consumer.consume(2_000, within_s):
            error = message.error()
            tp = (message.topic(), message.partition())
            if error is None:
                self._at[tp] = message.offset() + 1
                self._add(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name
                self._at[tp] = message.offset()
            else:
                self.errors[error.name()] += 1

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    @property
    def _schema_topic(self) -> str:
        return f"{self.prefix}.schemas"

    def _begin_anew(self) -> None:
        """Go on with another consumer.

        One was seen to bring nothing more, of any partition, after a broker's kill.
        """
        self.errors["brought nothing more"] += 1
        self._consumer.close()
        self._consumer = self._new_consumer()
        self._consumer.assign(
            [TopicPartition(t, p, at) for (t, p), at in self._at.items()]
        )

    def _new_consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "log_level": 0,
                "group.id": "faults-checker",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
            }
        )

    def _new_admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 0})

    def _partitions_of(self, topic: str) -> int:
        return 1 if topic == self._schema_topic else self.partitions

    def _add(self, message: Message) -> None:
        topic = message.topic()
        at = At(topic, message.partition(), message.offset())
        if topic == self._schema_topic:
            self._schemas.learn(message.value())
        elif topic.endswith("-changelog"):
            self._add_write(at, message)
        else:
            pipeline, role = topic.removeprefix(self.prefix + ".").rsplit(".", 1)
            self._adders[role](at, pipeline, message)

    def _add_asked(self, at: At, pipeline: str, message: Message) -> None:
        headers = dict(reversed(message.headers() or ()))
        origin = headers.get(ORIGIN)
        common = {
            "at": at,
            "pipeline": pipeline,
            "origin": _origin(origin),
            "sent_ms": message.timestamp()[1],
        }
        try:
            value = self._request(message.value())
        except NotOursError:
            raw = (message.key(), message.value())
            self.history.asked.append(Asked(home=True, raw=raw, **common))
            return
        key = _key(pipeline, value, replay=int(headers.get(REPLAY) or 0))
        at_home = message.key() == key.home.encode() and at.partition == home(
            key.home, self.partitions
        )
        self.history.asked.append(
            Asked(key=key, session_id=value["session_id"], home=at_home, **common)
        )

    def _request(self, value: bytes | None) -> Mapping[str, Any]:
        if value is not None and len(value) > REQUEST_BYTES:
            raise NotOursError
        return self._schemas.decode(value)

    def _add_terminal(self, at: At, pipeline: str, message: Message) -> None:
        value = self._schemas.decode(message.value())
        error, source = value["error"] or {}, value["source"]
        self.history.terminals.append(
            Terminal(
                at=at,
                key=_key(pipeline, value),
                session_id=value["session_id"],
                status=value["status"],
                code=error.get("code", ""),
                failed_stage=error.get("stage"),
                turn=value["turn"],
                source=source and At(**source),
                written_ms=message.timestamp()[1],
            )
        )

    def _add_stage(self, at: At, pipeline: str, message: Message) -> None:
        value = self._schemas.decode(message.value())
        self.history.stages.append(
            StageLeft(
                at=at,
                key=_key(pipeline, value),
                stage=value["stage"],
                sequence=value["sequence"],
                status=value["status"],
            )
        )

    def _add_letter(self, at: At, pipeline: str, message: Message) -> None:
        headers = {name: (v or b"").decode() for name, v in message.headers() or ()}
        self.history.letters.append(
            Letter(
                at=at,
                pipeline=pipeline,
                source=At(
                    headers["__dlq.errors.topic"],
                    int(headers["__dlq.errors.partition"]),
                    int(headers["__dlq.errors.offset"]),
                ),
                code=headers["x-penstock-code"],
                raw=(message.key(), message.value()),
                truncated=int(headers[TRUNCATED]) if TRUNCATED in headers else None,
            )
        )

    def _add_write(self, at: At, message: Message) -> None:
        key, value = message.key(), message.value()
        if key.startswith(b"\0"):
            return  # the changelog's own identity
        table = at.topic.removeprefix(self.group + "-").removesuffix("-changelog")
        self.history.writes.append(Write(at=at, table=table, key=key, value=value))
        if table == "tasks" and key == b"position" and value is not None:
            self.history.positions.append(_position(at, value))


def _key(pipeline: str, value: Mapping[str, Any], *, replay: int = 0) -> Key:
    request_id = value["request_id"]
    return Key(
        pipeline,
        value["session_id"] or request_id,
        request_id,
        value.get("replay", replay),
    )


def _origin(header: bytes | None) -> At | None:
    if header is None:
        return None
    topic, partition, offset = header.decode().split(" ")
    return At(topic, int(partition), int(offset))


def _position(at: At, value: bytes) -> Position:
    token, number, _, sources = json.loads(value[1:])
    return Position(
        at=at,
        token=token,
        number=number,
        sources={
            topic: (following, tuple((a, b) for a, b in ranges))
            for topic, (following, ranges) in sources.items()
        },
    )


LEDGER_HEAD: Final = struct.Struct(">BQiQ")
"""Format, moment, partition and offset of a ledger entry; its topic follows."""


def ledger_entry(value: bytes) -> At:
    """Return where the request of a ledger entry came from."""
    _, _, partition, offset = LEDGER_HEAD.unpack_from(value)
    return At(value[LEDGER_HEAD.size :].decode(), partition, offset)


def session_entry(value: bytes) -> tuple[int, tuple[str, ...]]:
    """Return how many turns a stored session has, and the requests it remembers."""
    turns, _, history = json.loads(value[1:])
    return turns, tuple(request_id for _, request_id, _, _ in history)
