"""The memory of one session id, as a value: every turn makes a new one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from msgspec import Struct
from msgspec.structs import replace

from streams.errors import StateError, StateNewerError

FORMAT: Final = b"\x01"
"""First byte of a stored session. A worker refuses formats newer than its own."""


class Turn(Struct, frozen=True, kw_only=True):
    """One answered request of a session."""

    pipeline: str
    request_id: str
    at_ms: int
    fields: Mapping[str, Any]
    """Inputs and outputs of the request, JSON values; what a History shows."""


class Session(Struct, frozen=True, kw_only=True):
    """What one session id remembers between requests."""

    session_id: str
    turns: int = 0
    """Terminals so far, those that left no trace in *history* included."""
    updated_ms: int = 0
    history: tuple[Turn, ...] = ()
    """The latest answered requests, oldest first."""

    def after(self, turn: Turn | None, *, at_ms: int, keep: int) -> "Session":
        """Return the session once a terminal is out; *turn* is None if it failed."""
        history = self.history if turn is None else (*self.history, turn)
        return replace(
            self,
            turns=self.turns + 1,
            updated_ms=at_ms,
            history=history[-keep:] if keep else (),
        )

    def of(self, pipeline: str) -> tuple[Turn, ...]:
        """Return the history that *pipeline* made."""
        return tuple(turn for turn in self.history if turn.pipeline == pipeline)

    def expired(self, ttl_s: float | None, now_ms: int) -> bool:
        """Say whether nobody has used the session for longer than *ttl_s*."""
        return ttl_s is not None and self.updated_ms + ttl_s * 1_000 < now_ms

    def pack(self) -> bytes:
        """Return the stored form: a format byte, then JSON."""
        turns = [[t.pipeline, t.request_id, t.at_ms, t.fields] for t in self.history]
        return FORMAT + orjson.dumps([self.turns, self.updated_ms, turns])

    @classmethod
    def unpack(cls, session_id: str, stored: bytes) -> "Session":
        """Read the stored form back.

        Raises:
            StateNewerError: the format is newer than this worker.
            StateError: it is damaged.
        """
        what = f"session {session_id}"
        if stored[:1] > FORMAT:
            raise StateNewerError(what, stored[:1])
        if stored[:1] != FORMAT:
            raise StateError(what, f"damaged: format {stored[:1]!r}")
        try:
            turns, updated_ms, history = orjson.loads(stored[1:])
            return cls(
                session_id=session_id,
                turns=turns,
                updated_ms=updated_ms,
                history=tuple(
                    Turn(pipeline=p, request_id=r, at_ms=at, fields=f)
                    for p, r, at, f in history
                ),
            )
        except (ValueError, TypeError) as error:
            raise StateError(what, f"damaged: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """What a pipeline remembers of a session."""

    ttl_s: float | None
    """Seconds after which an unused session begins anew; None for never."""
    keep: int
    """Answered requests that the history holds at most."""

    def opened(
        self, stored: Session | None, session_id: str, *, now_ms: int
    ) -> Session:
        """Return the session to go on with: a new one if none is left of *stored*."""
        if stored is None or stored.expired(self.ttl_s, now_ms):
            return Session(session_id=session_id)
        return stored
