"""A small history in which all is well; tests spoil it, one fact at a time."""

import json
from dataclasses import dataclass, field, replace

from tests.faults.history import (
    Asked,
    At,
    Batch,
    Call,
    History,
    Key,
    Letter,
    Position,
    StageLeft,
    Terminal,
    Violation,
    Write,
)
from tests.faults.reading import LEDGER_HEAD
from tests.faults.verdict import violations

REQUESTS, RESULTS, STAGES, DLQ = (
    f"p.ask.{role}" for role in ("requests", "results", "stages", "dlq")
)
PRODUCER = 7


def changelog(table: str) -> str:
    return f"p-main-{table}-changelog"


@dataclass(slots=True)
class Story:
    """Builds a history transaction by transaction, on one partition."""

    history: History = field(default_factory=History)
    now_ms: int = 1_000
    number: int = 0
    token: str = "one"  # noqa: S105 - an owner's, no password
    epoch: int = 0
    _next: dict[str, int] = field(default_factory=dict)
    _turns: dict[str, list[str]] = field(default_factory=dict)
    _batches: dict[tuple[str, int], list[Batch]] = field(default_factory=dict)

    def ask(self, request_id: str, session_id: str | None = None) -> Asked:
        """Let somebody ask."""
        asked = Asked(
            at=self.place(REQUESTS),
            pipeline="ask",
            home=True,
            key=Key("ask", session_id or request_id, request_id, 0),
            session_id=session_id,
        )
        self.history.asked.append(asked)
        return asked

    def ask_nonsense(self) -> Asked:
        """Let somebody send bytes that are no request."""
        asked = Asked(
            at=self.place(REQUESTS), pipeline="ask", home=True, raw=(b"k", b"?")
        )
        self.history.asked.append(asked)
        return asked

    def answer(self, asked: Asked) -> Terminal:
        """Answer a request: two calls, two stages, two transactions."""
        assert asked.key is not None
        run = b"\0".join(str(part).encode() for part in asked.key)
        entry = run + b"\0\0s/classify"
        self._stage(asked.key, "classify", 1)
        self.write("journal", entry, b"\x01[]")
        self.commit({})
        self._stage(asked.key, "draft", 2)
        terminal = Terminal(
            at=self.put(RESULTS),
            key=asked.key,
            session_id=asked.session_id,
            status="OK",
            code="",
            failed_stage=None,
            turn=self._turn(asked),
            source=asked.at,
            written_ms=asked.sent_ms,
        )
        self.history.terminals.append(terminal)
        self.write("journal", entry, None)
        self.write("ledger", run, _ledger(asked.at))
        self.commit({REQUESTS: asked.at.offset + 1})
        return terminal

    def set_aside(self, asked: Asked) -> Letter:
        """Leave a dead letter."""
        letter = Letter(
            at=self.put(DLQ),
            pipeline="ask",
            source=asked.at,
            code="decode.magic",
            raw=asked.raw,
        )
        self.history.letters.append(letter)
        self.commit({REQUESTS: asked.at.offset + 1})
        return letter

    def take_over(self) -> None:
        """Let another worker own the partition."""
        self.token, self.epoch, self.number = self.token + "'", self.epoch + 1, 0
        self.commit({})

    def commit(self, finished: dict[str, int]) -> None:
        """End a transaction with a position record."""
        before = self.history.positions[-1].sources if self.history.positions else {}
        sources = {**before, **{t: (n, ()) for t, n in finished.items()}}
        self.number += 1
        self.history.positions.append(
            Position(
                at=self.put(changelog("tasks")),
                token=self.token,
                number=self.number,
                sources=sources,
            )
        )
        self.history.committed = {(t, 0): n for t, (n, _) in sources.items()}
        self.now_ms += 100

    def write(self, table: str, key: bytes, value: bytes | None) -> None:
        """Write to a table's changelog."""
        at = self.put(changelog(table))
        self.history.writes.append(Write(at=at, table=table, key=key, value=value))

    def put(self, topic: str, **batch: object) -> At:
        """Put a record on a topic, in the transaction that ends next."""
        at = self.place(topic)
        self._batches.setdefault((topic, 0), []).append(
            replace(
                Batch(
                    at=at,
                    last=at.offset,
                    producer=PRODUCER,
                    epoch=self.epoch,
                    transactional=True,
                    outcome="committed",
                    created_ms=self.now_ms,
                    ended_ms=self.now_ms,
                ),
                **batch,
            )
        )
        self.history.batches = self._batches
        return at

    def place(self, topic: str) -> At:
        offset = self._next.get(topic, 1 if topic.endswith("changelog") else 0)
        self._next[topic] = offset + 1
        return At(topic, 0, offset)

    def verdict(self) -> list[Violation]:
        """Return what the checker finds."""
        return list(violations(self.history))

    def _stage(self, key: Key, stage: str, sequence: int) -> None:
        call = Call(
            name=f"{key.request_id}/{stage}/0",
            received_ms=self.now_ms,
            ended_ms=self.now_ms + 50,
            status=200,
        )
        self.history.calls = [*self.history.calls, call]
        self.now_ms += 100
        left = StageLeft(
            at=self.put(STAGES), key=key, stage=stage, sequence=sequence, status="OK"
        )
        self.history.stages.append(left)

    def _turn(self, asked: Asked) -> int | None:
        if asked.session_id is None or asked.key is None:
            return None
        turns = self._turns.setdefault(asked.session_id, [])
        turns.append(asked.key.request_id)
        history = [["ask", name, 0, {}] for name in turns[-3:]]
        value = b"\x01" + json.dumps([len(turns), 0, history]).encode()
        self.write("sessions", asked.session_id.encode(), value)
        return len(turns)


def _ledger(at: At) -> bytes:
    return LEDGER_HEAD.pack(1, 0, at.partition, at.offset) + at.topic.encode()
