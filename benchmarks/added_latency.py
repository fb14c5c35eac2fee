"""Added latency: how late results are at half of the load that penstock can take."""

from collections.abc import Iterator
from itertools import count
from time import perf_counter_ns
from typing import Final

from confluent_kafka import Consumer, Producer

from benchmarks.contenders import STATE, Penstock
from benchmarks.lab import Lab, LabError, Running, Start
from benchmarks.measuring import Figures, quantile, reading
from benchmarks.requests import KEYS, avro_request, request_schema, tickets

SENT: Final = "correlation-id"
"""Echoed by penstock: here the moment at which the request was produced."""
LINGER_MS: Final = 5
"""What producers have by default: librdkafka, and Java since Kafka 4.0 (KIP-1030)."""
WARM_S: Final = 4.0
LATE_S: Final = 20.0
"""How long to wait for the last results."""
BREATH_S: Final = 0.001


def added_latency(lab: Lab, rate_per_s: float, seconds: float) -> Figures:
    """Return quantiles of the time from producing a request to having its result."""
    start = Penstock(pipelines=STATE).start(lab)
    name = start.requests.removesuffix(".requests")
    with reading(lab, start.results) as consumer, lab.running(name, start) as running:
        pace = _Pace(lab, start, consumer, running)
        pace.first_answer()
        pace.run(rate_per_s, WARM_S)
        late_ms = sorted(pace.run(rate_per_s, seconds))
    lab.remove_topics(name.split(".")[0])
    return Figures(
        values={
            "offered_per_s": rate_per_s,
            "p50_ms": quantile(late_ms, 0.5),
            "p99_ms": quantile(late_ms, 0.99),
            "max_ms": late_ms[-1],
        }
    )


class _Pace:
    """Sends requests at a steady pace, and times their results."""

    def __init__(
        self, lab: Lab, start: Start, consumer: Consumer, running: Running
    ) -> None:
        self._producer: Producer = lab.producer(linger_ms=LINGER_MS)
        self._topic = start.requests
        self._consumer = consumer
        self._running = running
        schema = request_schema({**lab.env, **start.env})
        self._values: Iterator[tuple[str, bytes]] = (
            (f"s{i % KEYS}", avro_request(schema, f"r{i}", f"s{i % KEYS}", ticket))
            for i, ticket in zip(count(), tickets(), strict=False)
        )

    def first_answer(self) -> None:
        """Wait until the worker answers at all."""
        self._send()
        self._gather(1)

    def run(self, rate_per_s: float, seconds: float) -> list[float]:
        """Send for *seconds*; return how late each result was, in milliseconds."""
        began_ns, sent, late_ms = perf_counter_ns(), 0, []
        while (passed_s := (perf_counter_ns() - began_ns) / 1e9) < seconds:
            while sent < passed_s * rate_per_s:
                self._send()
                sent += 1
            late_ms += self._look()
        return late_ms + self._gather(sent - len(late_ms))

    def _send(self) -> None:
        key, value = next(self._values)
        self._producer.produce(
            self._topic, key=key, value=value, headers={SENT: str(perf_counter_ns())}
        )
        self._producer.poll(0)

    def _look(self) -> list[float]:
        results = self._consumer.consume(1_000, BREATH_S)
        now_ns = perf_counter_ns()
        return [
            (now_ns - int(dict(result.headers() or ())[SENT] or 0)) / 1e6
            for result in results
            if not result.error()
        ]

    def _gather(self, missing: int) -> list[float]:
        """Return the results that are still out.

        Raises:
            LabError: some of them never came.
        """
        self._producer.flush()
        late_ms: list[float] = []
        until_ns = perf_counter_ns() + LATE_S * 1e9
        while len(late_ms) < missing:
            self._running.require_alive()
            if perf_counter_ns() > until_ns:
                reason = f"{missing - len(late_ms)} results never came"
                raise LabError(reason)
            late_ms += self._look()
        return late_ms
