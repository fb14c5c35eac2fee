"""The agent of a pipeline: decode, admit, run, and say what is settled.

An agent never publishes and never writes a table. What follows from a record is a
settlement, a value; the task of its partition makes it true in one transaction.
"""

from typing import Any, Final

import structlog

from agents.dead_letters import bare
from agents.execution import Arrived, Execution, Parts
from agents.lanes import Slots
from agents.ledger import LedgerEntry
from agents.pending import Pending, nothing_smaller
from agents.record import HeaderError, Record, origin_header, origin_of, replay_of
from agents.routing import home_partition
from agents.schemas import SchemaFinder
from agents.tables import LEDGER, UnreadableStoreError
from agents.task import Admitted, View
from schemas.errors import SchemaError, UnknownSchemaError
from streams.config import Settings
from streams.errors import StageBugError, StateError, StateNewerError
from streams.running.run import run
from streams.settlement import Publish, Settlement

log = structlog.get_logger(__name__)

MAX_ID_CHARS: Final = 512
"""Longest request and session id. They are in every key and every record."""


class RouteLoopError(Exception):
    """A record that was sent to its home once is not at home."""

    code: Final = "route.loop"

    def __init__(self, home: str, partition: int) -> None:
        super().__init__(f"sent to its home once, but {home!r} lives in [{partition}]")


class IdError(Exception):
    """A request or session id cannot be a key."""

    code: Final = "request.id"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: 1 to {MAX_ID_CHARS} characters, none of them NUL")


class PipelineAgent:
    """What a task asks about the records of one pipeline."""

    def __init__(self, parts: Parts, settings: Settings, finder: SchemaFinder) -> None:
        self.pipeline = parts.pipeline
        self.topics = parts.serde.topics
        self.slots = Slots(limit=settings.max_running)
        self._parts = parts
        self._partitions = settings.partitions
        self._finder = finder

    def admit(self, record: Record) -> Admitted | Pending:
        """Say what follows from *record*: a run, a way home, or a dead letter.

        Raises:
            UnknownSchemaError: :meth:`learn` the schema, then ask again.
        """
        try:
            arrived = self._arrived(record)
            home = arrived.request.home
            at = home_partition(home, self._partitions)
            if at != record.partition or record.key != home.encode():
                return self._send_home(arrived, home, at)
        except UnknownSchemaError as error:
            if not self._finder.given_up(error.schema_id):
                raise
            return self._set_aside(record, error)
        except (SchemaError, HeaderError, IdError, RouteLoopError) as error:
            return self._set_aside(record, error)
        return Admitted(
            key=home,
            slots=self.slots,
            size_bytes=record.size_bytes,
            tenant=arrived.request.tenant or "",
            priority=arrived.request.priority,
            execute=lambda view: self._execute(view, arrived),
        )

    async def learn(self, error: UnknownSchemaError) -> None:
        """Wait until the schema is known, or surely not there."""
        await self._finder.learn(error.schema_id)

    def _arrived(self, record: Record) -> Arrived:
        request = self._parts.serde.request(record)
        for name, text in (
            ("request_id", request.request_id),
            ("session_id", request.session_id),
        ):
            if text is not None and not _is_key(text):
                raise IdError(name)
        return Arrived(
            record=record,
            pipeline=self.pipeline.name,
            request=request,
            origin=origin_of(record) or record.source,
            replay=replay_of(record),
        )

    def _send_home(self, arrived: Arrived, home: str, partition: int) -> Pending:
        record = arrived.record
        if arrived.origin != record.source:
            raise RouteLoopError(home, partition)
        self._parts.metrics.count(
            "penstock_rerouted_total", pipeline=self.pipeline.name
        )
        publish = Publish(
            topic=self.topics.requests,
            key=home.encode(),
            value=record.value,
            headers=(*record.headers, origin_header(record.source)),
            partition=partition,
            timestamp_ms=record.timestamp_ms,
        )
        settlement = Settlement(records=(publish,), source=record.source)
        return Pending(
            settlement=settlement,
            instead=lambda reason: self._aside(record, "route.refused", reason),
        )

    def _set_aside(self, record: Record, error: Any) -> Pending:
        log.warning(
            "record.dead_letter",
            topic=record.topic,
            task=record.partition,
            offset=record.offset,
            code=error.code,
            reason=str(error),
        )
        return self._aside(record, error.code, str(error))

    def _aside(self, record: Record, code: str, reason: str) -> Pending:
        letter = self._parts.set_aside(record, code, reason)
        instead = self._pending(record, (bare(letter, record.size_bytes),))
        return Pending(
            settlement=Settlement(records=(letter,), source=record.source),
            instead=lambda _reason: instead,
        )

    def _pending(self, record: Record, records: tuple[Publish, ...]) -> Pending:
        """Settle *record* with *records*; nothing smaller can stand for them."""
        settlement = Settlement(records=records, source=record.source)
        return Pending(settlement=settlement, instead=nothing_smaller)

    async def _execute(self, view: View, arrived: Arrived) -> Pending:
        """Run a request to its end; whatever happens, it has an end.

        Raises:
            StateNewerError: a newer penstock wrote the state that it needs.
            MemoryError: there is no room for it here and now.
            UnreadableStoreError: RocksDB cannot read the state that it needs.
        """
        execution = Execution(self._parts, view, arrived)
        try:
            stored = view.get(LEDGER, arrived.run)
            if stored is not None:
                return self._repeated(arrived, LedgerEntry.unpack(stored))
            end = await run(self.pipeline, arrived.request, execution.start())
            return execution.final(end)
        except (StateNewerError, MemoryError, UnreadableStoreError):
            raise  # ends the worker: another one, or a fresh one, can do better
        except StateError as error:
            log.exception("run.state", request_id=arrived.request.request_id)
            return execution.failed(error.code, str(error))
        except Exception as error:  # the last net: an exception may not end an agent
            log.exception("run.bug", request_id=arrived.request.request_id)
            bug = StageBugError("edge", error)
            return execution.failed(bug.code, str(bug), bug=error)

    def _repeated(self, arrived: Arrived, first: LedgerEntry) -> Pending:
        """Settle a second record with an answered id: it adds no terminal."""
        record = arrived.record
        log.info(
            "request.repeated",
            request_id=arrived.request.request_id,
            offset=record.offset,
            first_offset=first.offset,
            first_topic=first.topic,
            task=record.partition,
        )
        self._parts.metrics.count(
            "penstock_repeated_total", pipeline=self.pipeline.name
        )
        return self._pending(record, ())


def _is_key(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_CHARS and "\0" not in text
