"""The checker at work while faults are: what must hold at any moment, at any moment.

Partitions show a transaction within milliseconds of each other, not at once. So what
was read in one look is judged in the next, when all that belongs to it is there.
"""

import threading
import time
from collections.abc import Iterator
from typing import Final

from tests.faults.check_offsets import Finished, unsettled
from tests.faults.check_order import Order
from tests.faults.check_owners import Owners
from tests.faults.check_stages import prefixes
from tests.faults.check_terminals import no_second_terminal
from tests.faults.history import Asked, Position, Violation
from tests.faults.index import Index
from tests.faults.pipelines import STAGES
from tests.faults.reading import NoBrokerError, Reader

LOOK_EVERY_S: Final = 1.0
DOUBT_S: Final = 15.0
"""How much later than its position record an answer may show: a transaction's markers
are written one by one, and a machine that is busy takes its time."""
POLL_S: Final = 0.2


class Live:
    """Reads an app's topics on a thread, and judges as it reads."""

    def __init__(self, reader: Reader, *, doubt_s: float = DOUBT_S) -> None:
        self.reader = reader
        self.index = Index(reader.history)
        self.violations: list[tuple[int, Violation]] = []
        """Each with the moment at which it was seen, epoch milliseconds."""
        self.answered_ms: dict[tuple[str, int], int] = {}
        """By pipeline and partition: when the latest answered request was sent."""
        self.looks = 0
        """How often it judged."""
        self.error: BaseException | None = None
        self._order = Order()
        self._owners = Owners()
        self._finished = Finished(self.index)
        self._doubt_s = doubt_s
        self._doubtful: list[tuple[float, Position, Asked]] = []
        self._judged = (0, 0)
        self._read = (0, 0)
        self._noted = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more; the reader is free for others."""
        self._stop.set()
        self._thread.join(90)
        if self.error is not None:
            raise self.error

    def answers_after(self, at_ms: int) -> bool:
        """Say whether requests sent after a moment are answered everywhere."""
        assert self.error is None, repr(self.error)
        wanted = len(self.reader.pipelines) * self.reader.partitions
        later = [ms for ms in list(self.answered_ms.values()) if ms > at_ms]
        return len(later) == wanted

    def look(self) -> None:
        """Read to the present end, and judge what was read before.

        Raises:
            NoBrokerError: the broker is away.
        """
        self.reader.read(self.reader.ends())
        self.index.add()
        self._note()
        now_ms = time.time_ns() // 1_000_000
        self.violations += [(now_ms, violation) for violation in self._judge()]
        self.looks += 1

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                self._until_next_look()
                try:
                    self.look()
                except NoBrokerError:
                    continue
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            self.error = error

    def _until_next_look(self) -> None:
        until_s = time.perf_counter() + LOOK_EVERY_S
        while time.perf_counter() < until_s and not self._stop.is_set():
            self.reader.poll(POLL_S)
            self.index.add()
            self._note()

    def _note(self) -> None:
        """Take note of how far requests are answered."""
        terminals = self.reader.history.terminals
        for terminal in terminals[self._noted :]:
            asked = self.index.first.get(terminal.key)
            if asked is not None:
                place = (terminal.key.pipeline, terminal.at.partition)
                known = self.answered_ms.get(place, 0)
                self.answered_ms[place] = max(known, asked.sent_ms)
        self._noted = len(terminals)

    def _judge(self) -> Iterator[Violation]:
        history = self.reader.history
        begin, end = self._judged, self._read
        terminals = history.terminals[begin[0] : end[0]]
        positions = history.positions[begin[1] : end[1]]
        self._judged = end
        self._read = (len(history.terminals), len(history.positions))
        yield from no_second_terminal(self.index, terminals)
        yield from self._order.see(self.index, terminals)
        yield from prefixes(self.index, terminals, STAGES)
        yield from self._owners.see(positions)
        until_s = time.perf_counter() + self._doubt_s
        for position, asked in self._finished.by(positions):
            self._doubtful.append((until_s, position, asked))
        yield from self._unsettled()

    def _unsettled(self) -> Iterator[Violation]:
        """Return what was called finished a while ago, and nothing settles it yet."""
        doubtful, self._doubtful = self._doubtful, []
        for until_s, position, asked in doubtful:
            if self.index.outcomes(asked):
                continue
            if time.perf_counter() < until_s:
                self._doubtful.append((until_s, position, asked))
            else:
                yield unsettled(position, asked)
