"""The load of a campaign: requests in sessions and without, and a share of poison."""

import itertools
import random
import threading
import time
from collections import Counter, deque
from typing import Final

from confluent_kafka import KafkaException

from tests.integration.lab import Ask, Lab

SESSIONS: Final = 150
ANY: Final = "any"
"""One of these, or none."""
TICK_S: Final = 0.05

SHARES: Final = {
    "plain": 0.943,
    "bug": 0.01,  # a stage that raises
    "again": 0.02,  # an id that was sent before
    "astray": 0.01,  # not where its key belongs
    "bytes": 0.014,  # no Avro at all
    "unknown": 0.001,  # a schema that nobody registered: holds its partition a while
    "large": 0.001,  # 0.9 MB: fits, and so does its answer
    "huge": 0.001,  # 1.1 MB, compressed on its way: more than a worker takes
}
"""What a record is, by chance."""

REMEMBERED: Final = 2_000
"""Requests among which one is sent again."""


class Load:
    """A thread that produces at a steady rate until it is told to stop."""

    def __init__(self, lab: Lab, seed: int, per_s: float) -> None:
        self.sent: Counter[str] = Counter()
        """Records by kind, and refusals by the broker under ``lost``."""
        self._lab = lab
        self._dice = random.Random(seed)  # noqa: S311 - a dice, not a key
        self._per_s = per_s
        self._asks: deque[tuple[str, Ask]] = deque(maxlen=REMEMBERED)
        self._numbers = itertools.count()
        # A burst comes from another thread than the rest.
        self._one_at_a_time = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._produce, daemon=True)

    @property
    def total(self) -> int:
        return self.sent.total() - self.sent["lost"]

    def start(self) -> None:
        self._thread.start()

    def burst(self, count: int) -> None:
        """Send *count* records at once, besides the rest."""
        for _ in range(count):
            self._one()

    def crowd(self, count: int) -> None:
        """Let *count* sessions that ask nothing else ask once, at once."""
        for number in range(count):
            with self._one_at_a_time:
                ask = self._ask("echo", "me too", session=f"echo-crowd{number}")
                self._send("echo", ask)
                self.sent["crowd"] += 1

    def weigh(self, count: int) -> None:
        """Send *count* large requests at once."""
        for _ in range(count):
            with self._one_at_a_time:
                self._large("echo")
                self.sent["large"] += 1

    def stop(self, within_s: float = 120) -> None:
        """Send no more; return once the broker has everything."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)
        left = self._lab.producer.flush(within_s)
        assert left == 0, f"{left} records are still with the producer"

    def _produce(self) -> None:
        begin_s, done = time.perf_counter(), 0
        while not self._stop.wait(TICK_S):
            due = int((time.perf_counter() - begin_s) * self._per_s)
            # Never a burst to make up for a broker that was away.
            for _ in range(min(due - done, int(self._per_s))):
                self._one()
            done = due

    def _one(self) -> None:
        with self._one_at_a_time:
            [kind] = self._dice.choices(list(SHARES), SHARES.values())
            pipeline = self._dice.choice(("ask", "ask", "echo"))
            getattr(self, f"_{kind}")(pipeline)
            self.sent[kind] += 1

    def _plain(self, pipeline: str) -> None:
        self._send(pipeline, self._ask(pipeline, "my invoice is wrong"))

    def _bug(self, _: str) -> None:
        self._send("echo", self._ask("echo", "a bug"))

    def _again(self, pipeline: str) -> None:
        if self._asks:
            self._send(*self._dice.choice(self._asks))
        else:
            self._plain(pipeline)

    def _astray(self, pipeline: str) -> None:
        ask = self._ask(pipeline, "who am I")
        value = self._lab.encoded(pipeline, ask)
        if self._dice.random() < 0.5:
            self._put(pipeline, value, key=None)
        else:
            self._put(pipeline, value, key=b"elsewhere-%d" % self._dice.randrange(9))

    def _bytes(self, pipeline: str) -> None:
        good = self._lab.encoded(pipeline, self._ask(pipeline, "x", kept=False))
        value = self._dice.choice(
            (b"", b"\x00", b"{}", good[:-3], good + b"!", b"\x07" + good[1:], None)
        )
        self._put(pipeline, value, key=b"k%d" % self._dice.randrange(SESSIONS))

    def _unknown(self, pipeline: str) -> None:
        body = self._dice.randbytes(20)
        id_ = (0x7ABBCC00 + self._dice.randrange(4)).to_bytes(4, "big")
        self._put(pipeline, b"\0" + id_ + body, key=b"unknown")

    def _large(self, _: str) -> None:
        self._sized(900_000)

    def _huge(self, _: str) -> None:
        self._sized(1_100_000)

    def _sized(self, count: int) -> None:
        # No session: it would remember three of them.
        ask = self._ask("echo", "x" * count, kept=False, session=None)
        self._send("echo", ask)

    def _ask(
        self,
        pipeline: str,
        text: str,
        *,
        kept: bool = True,
        session: str | None = ANY,
    ) -> Ask:
        number = next(self._numbers)
        ask = Ask(
            request_id=f"{pipeline}-r{number}",
            session_id=self._session(pipeline) if session == ANY else session,
            inputs={"ticket": f"{text}, number {number}"},
        )
        if kept:
            self._asks.append((pipeline, ask))
        return ask

    def _session(self, pipeline: str) -> str | None:
        session = f"{pipeline}-s{self._dice.randrange(SESSIONS)}"
        return session if self._dice.random() < 0.75 else None

    def _send(self, pipeline: str, ask: Ask) -> None:
        self._put(pipeline, self._lab.encoded(pipeline, ask), key=ask.home.encode())

    def _put(self, pipeline: str, value: bytes | None, key: bytes | None) -> None:
        topic = self._lab.topic(pipeline, "requests")
        while True:
            try:
                self._lab.producer.produce(
                    topic, value=value, key=key, on_delivery=self._delivered
                )
            except BufferError:
                self._lab.producer.poll(0.1)
            else:
                break
        self._lab.producer.poll(0)

    def _delivered(self, error: KafkaException | None, _: object) -> None:
        if error is not None:
            self.sent["lost"] += 1
