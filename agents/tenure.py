"""The tenure of a task: whether it is surely still the owner of its partition.

The lease says that nobody else can be given the partition now. That is not enough for
a task that slept: while it did, another worker may have had the partition, and given
it back before anybody here noticed; what the runs in flight would ask next, that one
may have paid for and finished. Whoever takes a partition over fences its producer
(InitProducerId), for ever. So a transaction that was begun after the lapse, and
committed, proves that nobody did.
"""

from collections.abc import Callable

from agents.lease import Lease

NEVER = -1


class Tenure:
    """One task's permit to begin what costs (:class:`streams.permit.Permit`)."""

    def __init__(self, lease: Lease, partition: int) -> None:
        self.on_doubt: Callable[[], None] = lambda: None
        """Called when a proof is wanted: a transaction, even an empty one."""
        self._lease = lease
        self._partition = partition
        self._proved = NEVER

    def granted(self) -> bool:
        return self._lease.holds(self._partition) and self._proved == self.era()

    @property
    def doubtful(self) -> bool:
        """Whether the partition is ours, and a proof that it always was is wanted."""
        return self._lease.holds(self._partition) and self._proved != self.era()

    def era(self) -> int:
        """Return what a transaction that is begun now would prove."""
        return self._lease.era(self._partition)

    def prove(self, era: int) -> None:
        """Take note that a transaction which was begun in *era* was committed."""
        self._proved = era
        self._lease.tell()

    async def wait(self) -> None:
        await self._lease.until(self._sure)

    def _sure(self) -> bool:
        if self.doubtful:
            self.on_doubt()
        return self.granted()
