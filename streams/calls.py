"""The LM calls of one stage in one run: asked once, remembered for ever.

An answer is *pending* from the moment it arrives until either the stage finishes (its
entry supersedes those of its calls) or something else may go wrong: the next call
begins, or the attempt fails. Then it is emitted, so that it is never paid again.

Ordinals count the calls of an attempt. An attempt that failed for want of an answer
is repeated from the same ordinal: what was answered is not asked again. An attempt
whose answers could not be used (``StageOutputError``) burns them: the next one begins
behind them, and asks anew. A resumed run goes the same way, answer by answer.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import blake2b
from typing import Final

import orjson

from schemas.records import Usage
from streams.journal import CallEntry, Entry
from streams.metrics import Recorder
from streams.permit import ALWAYS, Permit
from streams.stage import LM, Answer, LMCall

NO_USAGE: Final = Usage()
"""What a stage used that asked no LM."""

_REMEMBERED: Final = Usage(cached_calls=1)


class StageCalls:
    """Implements :class:`streams.stage.Calls` for one stage of one run."""

    __slots__ = (
        "_answered",
        "_base",
        "_emit",
        "_journal",
        "_next",
        "_pending",
        "_recorder",
        "_stage",
        "permit",
        "queued",
        "usage",
    )

    def __init__(
        self,
        stage: str,
        journal: Mapping[tuple[str, int], CallEntry],
        emit: Callable[[tuple[Entry, ...]], None],
        recorder: Recorder,
        permit: Permit = ALWAYS,
    ) -> None:
        self.permit = permit
        """Needed for each attempt, and for each call."""
        self.usage = NO_USAGE
        """Of all calls so far, whether or not their answers could be used."""
        self.queued: Callable[[], AbstractContextManager[None]] = nullcontext
        """What calls enter while they wait for a slot; the attempt's budget."""
        self._stage = stage
        self._journal = journal
        self._emit = emit
        self._recorder = recorder
        self._answered: dict[int, CallEntry] = {}
        self._pending: list[CallEntry] = []
        self._base = 0
        self._next = 0

    async def ask(self, lm: LM, call: LMCall) -> Answer:
        """Return the remembered answer of this call, or pay for a new one."""
        ordinal = self._next
        self._next += 1
        digest = digest_of(lm, call)
        known = self._remembered(ordinal, digest)
        if known is not None:
            return Answer(text=known.text, usage=_REMEMBERED)
        self.save()
        # Servers may keep answers by this id: only the same call may have it again.
        named = replace(
            call,
            request_id=f"{call.request_id}/{ordinal}",
            queued=self.queued,
            permit=self.permit,
        )
        answer = await lm.complete(self._stage, named)
        entry = CallEntry(
            stage=self._stage,
            ordinal=ordinal,
            digest=digest,
            text=answer.text,
            usage=answer.usage,
        )
        self._answered[ordinal] = entry
        self._pending.append(entry)
        self.usage = self.usage.plus(answer.usage)
        return answer

    def fail(self, *, burn: bool) -> None:
        """End an attempt that failed; *burn* its answers if they are of no use."""
        self.save()
        if burn:
            self._base = self._next
        self._next = self._base

    def save(self) -> None:
        """Emit the answers that no entry holds yet."""
        if self._pending:
            self._emit(tuple(self._pending))
            self._pending.clear()

    def _remembered(self, ordinal: int, digest: str) -> CallEntry | None:
        here = self._answered.get(ordinal)
        if here is not None and here.digest == digest:
            return here
        stored = self._journal.get((self._stage, ordinal))
        if stored is None:
            return None
        if stored.digest != digest:
            self._recorder.count("penstock_journal_misses_total", stage=self._stage)
            return None
        self._recorder.count("penstock_journal_hits_total", kind="call")
        self._answered[ordinal] = stored
        self.usage = self.usage.plus(_REMEMBERED)
        return stored


def digest_of(lm: LM, call: LMCall) -> str:
    """Return what tells this call from another: LM, messages and parameters.

    The request id is no part of it: it names the call, and changes no answer.
    """
    asked = (lm.fingerprint, call.messages, call.params)
    packed = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    return blake2b(packed, digest_size=16).hexdigest()
