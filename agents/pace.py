"""Pace: how long a task gathers settlements before it commits them together.

Each transaction costs broker and worker the same, however little is in it. So a task
rests after each, longer where commits are slow: there broker or worker are busy, and
fewer transactions are the cure. A task that has rested commits at once.
"""

from typing import Final

PATIENCE: Final = 2
"""How often as long as its last commit took a task rests."""

STRETCH: Final = 4
"""The most intervals that it rests. At the default interval that is about Kafka
Streams' commit interval of 100 ms under exactly-once."""

COMPANY_S: Final = 0.002
"""What a settlement waits at least: runs of one fetch end within moments."""


class Pace:
    """The rests of one task between its transactions."""

    def __init__(self, interval_s: float) -> None:
        """Rest for *interval_s* at least; 0 means never to wait at all."""
        self._interval_s = interval_s
        self._rests_until_s = 0.0

    def committed(self, *, took_s: float, at_s: float) -> None:
        """Take note of a commit that took *took_s* and ended at *at_s*, monotonic."""
        shortest_s, longest_s = self._interval_s, STRETCH * self._interval_s
        rest_s = min(max(shortest_s, PATIENCE * took_s), longest_s)
        self._rests_until_s = at_s + rest_s

    def wait_s(self, now_s: float) -> float:
        """Return how long what was settled at *now_s* waits for company."""
        if not self._interval_s:
            return 0.0
        return max(COMPANY_S, self._rests_until_s - now_s)
