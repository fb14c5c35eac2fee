"""Metrics: the names that exist, what each means, and where values are handed in."""

from typing import Literal, Protocol

Counter = Literal[
    # Runs that ended, by pipeline, status and code ("" where all went well).
    "penstock_runs_total",
    # Tries of a stage that ended, by pipeline, stage and code ("" for success).
    "penstock_stage_attempts_total",
    # Journals thrown away because another pipeline or program made them.
    "penstock_journal_dropped_total",
    # Stages, LM calls and tool calls (effects) answered from the journal instead of
    # paid again, by kind.
    "penstock_journal_hits_total",
    # Journalled LM calls that no longer match what the stage asks.
    "penstock_journal_misses_total",
    # Input fields that the pipeline does not know, and ignored.
    "penstock_inputs_ignored_total",
    # Sessions that began anew because nobody had used them for their ttl.
    "penstock_sessions_expired_total",
    # LM calls that ended, by lm and code ("" for an answer).
    "penstock_lm_calls_total",
    # Tokens paid for, by lm and kind (input, output).
    "penstock_lm_tokens_total",
]
Histogram = Literal[
    # Seconds from the beginning of a run to its end, by pipeline.
    "penstock_run_seconds",
    # Seconds in one stage with all its attempts, by pipeline and stage.
    "penstock_stage_seconds",
    # Seconds that a call waited for its LM's answer, without the wait for a slot.
    "penstock_lm_call_seconds",
    # Seconds that a call waited for a free slot of its LM.
    "penstock_lm_wait_seconds",
]
Gauge = Literal[
    # Calls that an LM is working on, by lm.
    "penstock_lm_in_flight",
    # Calls that wait for a free slot, by lm.
    "penstock_lm_waiting",
    # 1 while an LM can be reached, else 0, by lm.
    "penstock_lm_up",
]


class Recorder(Protocol):
    """Where the core hands in what it counts; never raises and never waits."""

    def count(self, name: Counter, amount: float = 1, **labels: str) -> None:
        """Add *amount* to a counter."""
        ...

    def observe(self, name: Histogram, value: float, **labels: str) -> None:
        """Add one observation to a histogram."""
        ...

    def gauge(self, name: Gauge, value: float, **labels: str) -> None:
        """Set a gauge."""
        ...


class NullRecorder:
    """A recorder that forgets everything."""

    def count(self, name: Counter, amount: float = 1, **labels: str) -> None:
        pass

    def observe(self, name: Histogram, value: float, **labels: str) -> None:
        pass

    def gauge(self, name: Gauge, value: float, **labels: str) -> None:
        pass
