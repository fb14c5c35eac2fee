"""The LM calls of one stage in one run: asked once, remembered for ever.

An answer is *pending* from the moment it arrives until either the stage finishes (its
entry supersedes those of its calls) or something else may go wrong: the next call
begins, another one is still under way, the stage waits for anything else, or the
attempt fails. Then it is emitted, so that it is never paid again.

Ordinals count the calls of an attempt. An attempt that failed for want of an answer
is repeated from the same ordinal: what was answered is not asked again. An attempt
whose answers could not be used (``StageOutputError``) burns them: the next one begins
behind them, and asks anew. A resumed run goes the same way, answer by answer.

Calls at the same time have no order that a resumed run could follow, so each line of
them counts by itself, in a *branch*: branch 2 of stage ``draft`` is ``draft/2``, and
after the n-th burnt attempt ``draft/~n/2``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from hashlib import blake2b
from typing import Final

import orjson
from msgspec import Struct, field

from schemas.records import Usage
from streams.journal import CallEntry, Entry
from streams.metrics import Recorder
from streams.permit import ALWAYS, Permit
from streams.stage import LM, Answer, LMCall

NO_USAGE: Final = Usage()
"""What a stage used that asked no LM."""

_REMEMBERED: Final = Usage(cached_calls=1)


class Purse(Struct, kw_only=True):
    """What the calls of a stage are paid from: shared by all its branches."""

    request_id: str
    stage: str
    journal: Mapping[tuple[str, int], CallEntry]
    emit: Callable[[tuple[Entry, ...]], None]
    recorder: Recorder
    permit: Permit = ALWAYS
    """Needed for each attempt, and for each call."""
    queued: Callable[[], AbstractContextManager[None]] = nullcontext
    """What calls enter while they wait for a slot; the attempt's budget."""
    usage: Usage = NO_USAGE
    """Of all calls so far, whether or not their answers could be used."""
    _pending: list[CallEntry] = field(default_factory=list)
    _under_way: int = 0
    _closed: bool = False

    def keep(self, entry: CallEntry) -> None:
        """Remember *entry*; it may wait for its stage if nothing else is awaited."""
        if entry.usage is not NO_USAGE:
            self.usage = self.usage.plus(entry.usage)
        if self._closed:
            return
        self._pending.append(entry)
        if self._under_way:
            self.save()
        else:
            # A stage that makes its outputs of it ends before the loop turns. One that
            # waits may do so for long, as for a reward of the user's.
            asyncio.get_running_loop().call_soon(self.save)

    def save(self) -> None:
        """Emit the answers that no entry holds yet."""
        if self._pending:
            self.emit(tuple(self._pending))
            self._pending.clear()

    def close(self) -> None:
        """The stage has ended: its own entry stands for what is not saved.

        A program may have left something running, as ``asyncio.gather`` does when one
        of several fails: nothing that it asks is paid, or emitted behind the terminal.
        """
        self._closed = True
        self._pending.clear()

    @contextmanager
    def paying(self) -> Iterator[None]:
        """Do something inside that costs; what was had before is saved first.

        Raises:
            CancelledError: the stage has ended.
        """
        if self._closed:
            raise asyncio.CancelledError
        self.save()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


class StageCalls:
    """Implements :class:`streams.stage.Calls` for one stage of one run."""

    __slots__ = (
        "_answered",
        "_base",
        "_branches",
        "_burnt",
        "_next",
        "purse",
        "site",
    )

    def __init__(self, purse: Purse, site: str) -> None:
        self.purse = purse
        self.site = site
        """Iteration path of the stage, or a branch below it."""
        self._answered: dict[int, CallEntry] = {}
        self._branches: dict[str, StageCalls] = {}
        self._burnt = 0
        self._base = 0
        self._next = 0

    async def ask(self, lm: LM, call: LMCall) -> Answer:
        """Return the remembered answer of this call, or pay for a new one."""
        purse, ordinal = self.purse, self._take_ordinal()
        digest = digest_of(lm, call)
        known = self._remembered(ordinal, digest)
        if known is not None:
            return Answer(text=known.text, usage=_REMEMBERED)
        # Servers may keep answers by this id: only the same call may have it again.
        named = replace(
            call,
            request_id=f"{purse.request_id}/{self.site}/{ordinal}",
            queued=purse.queued,
            permit=purse.permit,
        )
        with purse.paying():
            answer = await lm.complete(purse.stage, named)
        self._keep(ordinal, digest, answer)
        return answer

    async def effect(
        self, name: str, digest: str, run: Callable[[], Awaitable[str]]
    ) -> str:
        """Return what *run* returned for *name* and *digest*, run once if ever."""
        ordinal, digest = self._take_ordinal(), f"{name} {digest}"
        known = self._remembered(ordinal, digest, is_call=False)
        if known is not None:
            return known.text
        with self.purse.paying():
            text = await run()
        self._keep(ordinal, digest, Answer(text=text, usage=NO_USAGE))
        return text

    def branch(self, name: str) -> "StageCalls":
        """Return calls that count by themselves; the same ones for the same name."""
        found = self._branches.get(name)
        if found is None:
            path = f"~{self._burnt}/{name}" if self._burnt else name
            found = StageCalls(self.purse, f"{self.site}/{path}")
            self._branches[name] = found
        return found

    def fail(self, *, burn: bool) -> None:
        """End an attempt that failed; *burn* its answers if they are of no use."""
        self.purse.save()
        if burn:
            # How far each branch had come depends on the moment: they begin anew
            # under other names, not behind what they had asked.
            self._branches.clear()
            self._burnt += 1
            self._base = self._next
        self._rewind()

    def _rewind(self) -> None:
        self._next = self._base
        for branch in self._branches.values():
            branch._rewind()  # noqa: SLF001 - of the same class

    def _take_ordinal(self) -> int:
        ordinal = self._next
        self._next += 1
        return ordinal

    def _keep(self, ordinal: int, digest: str, answer: Answer) -> None:
        entry = CallEntry(
            site=self.site,
            ordinal=ordinal,
            digest=digest,
            text=answer.text,
            usage=answer.usage,
        )
        self._answered[ordinal] = entry
        self.purse.keep(entry)

    def _remembered(
        self, ordinal: int, digest: str, *, is_call: bool = True
    ) -> CallEntry | None:
        purse, here = self.purse, self._answered.get(ordinal)
        if here is not None and here.digest == digest:
            return here
        stored = purse.journal.get((self.site, ordinal))
        if stored is None:
            return None
        if stored.digest != digest:
            purse.recorder.count("penstock_journal_misses_total", stage=purse.stage)
            return None
        kind = "call" if is_call else "effect"
        purse.recorder.count("penstock_journal_hits_total", kind=kind)
        self._answered[ordinal] = stored
        if is_call:
            purse.usage = purse.usage.plus(_REMEMBERED)
        return stored


def digest_of(lm: LM, call: LMCall) -> str:
    """Return what tells this call from another: LM, messages and parameters.

    The request id is no part of it: it names the call, and changes no answer.
    """
    asked = (lm.fingerprint, call.messages, call.params)
    packed = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    return blake2b(packed, digest_size=16).hexdigest()
