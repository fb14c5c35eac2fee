"""What a stage is: fields in, an outcome out, and nothing else in sight."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from schemas.records import Usage
from streams.clock import Clock
from streams.permit import ALWAYS, Permit
from streams.session import Turn

Fields = Mapping[str, Any]
"""Values by field name: JSON-like (None, bool, int, float, str, list, dict)."""


class Answer(Struct, frozen=True, kw_only=True):
    """What an LM said to one call."""

    text: str
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class LMCall:
    """One call as an engine sees it: complete, and free of any program."""

    messages: tuple[Mapping[str, Any], ...]
    """Chat messages, ``{"role": ..., "content": ...}``."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """temperature, max_tokens and their like."""
    request_id: str = ""
    """Travels to the LM server as ``X-Request-Id`` and ``Idempotency-Key``."""
    queued: Callable[[], AbstractContextManager[None]] = field(
        default=nullcontext, compare=False, repr=False
    )
    """Entered while the call waits for a slot: that time is nobody's answer, and
    does not count against the stage's timeout."""
    permit: Permit = field(default=ALWAYS, compare=False, repr=False)

    async def may_begin(self) -> None:
        """Wait until it may be sent, or sent again: the last thing before it is."""
        if not self.permit.granted():
            with self.queued():
                await self.permit.wait()


class LM(Protocol):
    """A language model as stages see it: one entry under ``lms:`` of a pipeline."""

    @property
    def name(self) -> str:
        """The name that pipelines use."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes when another model would answer; part of journal digests."""
        ...

    def available(self) -> bool:
        """Return False while the LM is down: its pipelines' partitions pause."""
        ...

    async def complete(self, stage: str, call: LMCall) -> Answer:
        """Return the LM's answer; waits for a free slot, and through outages.

        An LM that refuses connections is waited for (jittered backoff) until the
        caller cancels: *attempts* count answers, not outages.

        Raises:
            ModelBusyError: 429; says when to come back.
            ModelUnavailableError: the LM answered, and failed (5xx, garbage).
            ModelRefusedError: it will not answer this call, ever.
        """
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


class Calls(Protocol):
    """The LM calls of one stage in one run: asked once, remembered for ever."""

    async def ask(self, lm: LM, call: LMCall) -> Answer:
        """Return the journalled answer of this call, or pay for a new one.

        The n-th ask of a stage is looked up under ordinal n with the digest of
        *call* and *lm*; a digest that differs is a new call (counted as a miss).
        The id that the LM's server sees is set here.
        """
        ...

    async def effect(
        self, name: str, digest: str, run: Callable[[], Awaitable[str]]
    ) -> str:
        """Return the journalled text of something that is done once: a tool's call.

        Counts like an ask, costs nothing: *name* and *digest*, of its arguments, are
        what it is looked up with; *run* does it, and whatever it raises is raised.
        """
        ...

    def branch(self, name: str) -> "Calls":
        """Return calls of their own order, for asking several times at once.

        Calls at the same time have no order to be remembered in: each line of them
        asks a branch, ``"0"``, ``"1"``. The same name is the same branch.
        """
        ...


class RunContext(Struct, frozen=True, kw_only=True):
    """What a stage may ask for."""

    request_id: str
    clock: Clock
    calls: Calls
    deadline_ms: int | None = None
    history: tuple[Turn, ...] = ()
    """The session's answered requests that this pipeline made, oldest first."""
    path: str = ""
    """Which execution of the stage in its run this is: ``map.1/17/sum_up``; outside
    of maps and loops the stage's name."""


class StageOutcome(Struct, frozen=True, kw_only=True):
    """What a stage leaves: its output fields and what they cost."""

    outputs: Fields
    usage: Usage = Usage()


class Stage(Protocol):
    """A named step: fields in, an outcome out. Fails by raising ``StageError``."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """``program@fingerprint``: changes whenever other outputs may follow."""
        ...

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        """Answer once. Retries, timeouts and deadlines are the run's business."""
        ...


@runtime_checkable
class Connected(Protocol):
    """A stage that keeps connections of its own."""

    async def aclose(self) -> None:
        """Close them; a later call opens new ones."""
        ...
