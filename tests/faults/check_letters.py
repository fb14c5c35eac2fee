"""I8: every record that is no request is a dead letter, once, as it came."""

from collections.abc import Iterator

from tests.faults.history import Asked, Letter, Violation
from tests.faults.index import Index

BUG = "stage.bug"
REFUSED = "refused"


def letters_once(index: Index) -> Iterator[Violation]:
    """Check the whole of a history."""
    known = set()
    for asked in index.history.asked:
        known.add(asked.at)
        yield from _of(index, asked, index.letters.get(asked.at, []))
    for source, letters in index.letters.items():
        if source not in known:
            yield Violation(
                invariant=8,
                what="a dead letter of a record that is not there",
                evidence={"at": str(letters[0].at), "source": str(source)},
            )


def _of(index: Index, asked: Asked, letters: list[Letter]) -> Iterator[Violation]:
    evidence = {"source": str(asked.at), "letters": [str(x.at) for x in letters]}
    wanted = _wanted(index, asked)
    if len(letters) != wanted:
        yield Violation(
            invariant=8,
            what=f"{len(letters)} dead letters where there should be {wanted}",
            evidence=evidence,
        )
    for letter in letters:
        if asked.key is None and not _is_as_it_came(index, asked, letter):
            yield Violation(
                invariant=8,
                what="a dead letter has other bytes than its record",
                evidence=evidence,
            )
        if not letter.code:
            yield Violation(
                invariant=8, what="a dead letter without a reason", evidence=evidence
            )


def _is_as_it_came(index: Index, asked: Asked, letter: Letter) -> bool:
    if letter.truncated is None or asked.raw is None:
        return letter.raw == asked.raw
    # Only a topic that takes nothing is a reason to leave the bytes where they are.
    refused = any(trouble.fault == REFUSED for trouble in index.history.troubles)
    key, value = asked.raw
    size = len(key or b"") + len(value or b"")
    return refused and letter.raw == (None, None) and letter.truncated == size


def _wanted(index: Index, asked: Asked) -> int:
    if asked.key is None:
        return 1
    if not asked.home:
        return 0 if asked.origin is None else 1
    if index.first[asked.key] is not asked:
        return 0
    # A bug leaves a letter for us beside its terminal.
    return sum(t.code == BUG for t in index.terminals.get(asked.key, ())[:1])
