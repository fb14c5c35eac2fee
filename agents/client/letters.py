"""Letters: dead letters as they lie in their topic, and how one is offered again."""

from dataclasses import dataclass
from typing import Final

from agents.record import ORIGIN, REPLAY, HeaderError, Record, replay_of

REASONS: Final = "__dlq.errors."
"""What the names of KIP-1191's headers begin with."""
CODE: Final = "x-penstock-code"
TIMESTAMP: Final = "x-penstock-timestamp"
TRUNCATED: Final = "x-penstock-truncated"

STRIPPED: Final = (CODE, TIMESTAMP, TRUNCATED, ORIGIN, REPLAY)
"""Our headers that say why a record was set aside and how it came there. It is
offered again as its producer sent it, with a new replay number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A record to offer again."""

    partition: int | None
    """Where it was; None if nobody knows."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int
    replay: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One dead letter. Anybody may have written its headers: nothing here raises."""

    record: Record

    @property
    def code(self) -> str:
        """Why it was set aside, stable and dotted."""
        return self._text(CODE) or ""

    @property
    def message(self) -> str:
        """Why, for people."""
        return self._text(f"{REASONS}message") or ""

    @property
    def origin(self) -> str:
        """Where it was: ``topic partition:offset``."""
        names = ("topic", "partition", "offset")
        topic, partition, offset = (self._text(REASONS + n) or "?" for n in names)
        return f"{topic} {partition}:{offset}"

    @property
    def timestamp_ms(self) -> int:
        """Its own timestamp, epoch milliseconds; not that of its setting aside."""
        return _number(self._text(TIMESTAMP), self.record.timestamp_ms)

    @property
    def truncated(self) -> bool:
        """Whether its bytes are not here: they were too many."""
        # A producer may send this header, but not a whole record that lacks its bytes.
        return self.record.value is None and self._text(TRUNCATED) is not None

    @property
    def replay(self) -> int:
        """How often it had been offered again before."""
        try:
            return replay_of(self.record)
        except HeaderError:
            return 0

    def again(self) -> Again:
        """Return the record to offer again: the original bytes, key and time."""
        replay = self.replay + 1
        kept = (
            (name, value)
            for name, value in self.record.headers
            if not name.startswith(REASONS) and name not in STRIPPED
        )
        partition = _number(self._text(f"{REASONS}partition"), -1)
        return Again(
            partition=None if partition < 0 else partition,
            key=self.record.key,
            value=self.record.value,
            headers=(*kept, (REPLAY, str(replay).encode())),
            timestamp_ms=self.timestamp_ms,
            replay=replay,
        )

    def _text(self, name: str) -> str | None:
        # The last one: ours stand behind those that came with the record.
        found = [value for header, value in self.record.headers if header == name]
        return (found[-1] or b"").decode(errors="replace") if found else None


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else otherwise
