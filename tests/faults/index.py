"""A history by ids: who asked first, what became of each record."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.faults.batches import by_offset
from tests.faults.history import (
    Asked,
    At,
    Batch,
    History,
    Key,
    Letter,
    StageLeft,
    Terminal,
)
from tests.faults.transactions import Transactions


@dataclass(slots=True)
class Index:
    """Look-ups over a :class:`History`; :meth:`add` takes in what is new."""

    history: History
    first: dict[Key, Asked] = field(default_factory=dict)
    """The first record at home with this key: the one that is executed."""
    sent_home: defaultdict[At, list[Asked]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """By the place where it entered."""
    terminals: defaultdict[Key, list[Terminal]] = field(
        default_factory=lambda: defaultdict(list)
    )
    stages: defaultdict[Key, list[StageLeft]] = field(
        default_factory=lambda: defaultdict(list)
    )
    letters: defaultdict[At, list[Letter]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _seen: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    _transactions: Transactions | None = None
    _batches: dict[tuple[str, int], dict[int, Batch]] = field(default_factory=dict)

    @classmethod
    def of(cls, history: History) -> "Index":
        """Return the index of all of *history*."""
        index = cls(history)
        index.add()
        return index

    def add(self) -> None:
        """Take in what was read since the last time."""
        history, seen = self.history, self._seen
        for asked in history.asked[seen[0] :]:
            if asked.origin is not None:
                self.sent_home[asked.origin].append(asked)
            if asked.key is not None and asked.home:
                self.first.setdefault(asked.key, asked)
        for terminal in history.terminals[seen[1] :]:
            self.terminals[terminal.key].append(terminal)
        for stage in history.stages[seen[2] :]:
            self.stages[stage.key].append(stage)
        for letter in history.letters[seen[3] :]:
            self.letters[letter.source].append(letter)
        self._seen = [
            len(history.asked),
            len(history.terminals),
            len(history.stages),
            len(history.letters),
        ]

    def outcomes(self, asked: Asked) -> Sequence[At]:
        """Return the records that settle *asked*; none if it is not settled."""
        if asked.key is not None and asked.home:
            return [terminal.at for terminal in self.terminals.get(asked.key, ())]
        if asked.key is not None and asked.origin is None:
            return [sent.at for sent in self.sent_home.get(asked.at, ())]
        return [letter.at for letter in self.letters.get(asked.at, ())]

    def batch(self, at: At) -> Batch | None:
        """Return the batch of the record at *at*, if the broker's log was read."""
        tp = (at.topic, at.partition)
        if tp not in self._batches:
            self._batches[tp] = dict(by_offset(self.history.batches.get(tp, ())))
        return self._batches[tp].get(at.offset)

    def is_later(self, one: At, other: At) -> bool:
        """Say whether *one* came in a later transaction than *other*, if known."""
        batches = self.batch(one), self.batch(other)
        if batches[0] is None or batches[1] is None:
            return False
        return self.transactions.is_later(batches[0], batches[1])

    @property
    def transactions(self) -> Transactions:
        """Owners' transactions, once the broker's log was read."""
        if self._transactions is None:
            self._transactions = Transactions.of(self.history)
        return self._transactions

    def executed(self) -> Iterator[Asked]:
        """Return the records that must have a terminal."""
        yield from self.first.values()
