"""When to try a stage again: a policy that answers, and never sleeps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Capped exponential backoff with jitter, inside what is left of the deadline."""

    attempts: int = 1
    """Tries in all; 1 means that nothing is retried."""
    base_s: float = 0.2
    """Wait after the first try; doubles from try to try."""
    ceiling_s: float = 10.0
    """No wait of our own is longer."""
    asked_ceiling_s: float = 60.0
    """Nor is one that an LM asks for (Retry-After): it may ask for a day."""

    def delay_after(
        self,
        attempt: int,
        *,
        left_s: float,
        jitter: float = 1.0,
        asked_s: float | None = None,
    ) -> float | None:
        """Seconds to wait after the *attempt*-th try failed; None to give up.

        Args:
            attempt: counts from 1.
            left_s: seconds until the deadline; infinite without one.
            jitter: 0 to 1; how much of the second half of the wait is waited, so
                that those who failed together do not come back together.
            asked_s: what the LM asked for. Waited in full, or not at all.
        """
        if attempt >= self.attempts:
            return None
        # 2.0 ** 1024 would overflow; the ceiling has cut it off long before.
        wait_s = min(self.ceiling_s, self.base_s * 2.0 ** min(attempt - 1, 64))
        delay_s = wait_s * (1 + jitter) / 2
        if asked_s is not None:
            delay_s = max(delay_s, min(asked_s, self.asked_ceiling_s))
        return delay_s if delay_s < left_s else None
