"""What texts mean is remembered: within a number of entries, and within their bytes."""

import sys

from streams.signatures import parse
from streams.signatures.parse import Types, parse_fields, parse_signature
from streams.signatures.remembered import Remembered


def counted(**bounds):
    """Return a memory, and the texts that it had to make something of."""
    made = []

    def make(text, context):
        made.append(text)
        return (text, context)

    return Remembered(make, **bounds), made


def test_what_was_asked_last_is_remembered():
    memory, made = counted(max_entries=2, max_bytes=10_000)
    for text in ("a", "b", "a", "c", "a", "b"):
        assert memory(text, 0) == (text, 0)
    assert made == ["a", "b", "c", "b"]
    assert len(memory) == 2


def test_one_text_in_two_contexts_is_two():
    memory, made = counted(max_entries=9, max_bytes=10_000)
    assert memory("a", 0) != memory("a", 1)
    assert made == ["a", "a"]


def test_the_bytes_of_all_texts_are_bounded():
    memory, made = counted(max_entries=1_000, max_bytes=10_000)
    for number in range(100):
        memory("é" * 400 + str(number), 0)
        assert memory.size_bytes <= 10_000
    assert 1 < len(memory) < 30
    before = len(made)
    memory("é" * 400 + "99", 0)
    assert len(made) == before


def test_a_text_beyond_the_bound_is_read_and_not_remembered():
    memory, made = counted(max_entries=9, max_bytes=1_000)
    for _ in range(2):
        assert memory("x" * 2_000, 0)
    assert len(made) == 2
    assert (len(memory), memory.size_bytes) == (0, 0)


def test_a_failure_is_not_remembered():
    def make(text, _context):
        raise ValueError(text)

    memory = Remembered(make, max_entries=9, max_bytes=1_000)
    for _ in range(2):
        try:
            memory("a", 0)
        except ValueError:
            continue
    assert len(memory) == 0


def test_two_that_make_one_at_once_keep_it_once():
    def make(text, depth):
        # Another thread was faster: it asked while this one was still making.
        return [text] if depth.pop() == 0 else memory(text, depth) and [text]

    class Depths(list):
        __hash__ = object.__hash__

        def __eq__(self, other):
            return self is other

    memory = Remembered(make, max_entries=9, max_bytes=1_000)
    memory("a", Depths([0, 1]))
    assert len(memory) == 1
    assert memory.size_bytes == sys.getsizeof("a")


def test_readings_of_signatures_stay_within_their_bounds():
    types = Types()
    for number in range(2_000):
        parse_signature(f"a{number}: str -> b", types)
        parse_fields(f"a: str 'n{number}{'x' * 5_000}'", types)
    readings = parse._READINGS  # noqa: SLF001 - its size is the point
    assert len(readings) <= parse.CACHED
    assert readings.size_bytes <= parse.CACHED_BYTES
    assert parse_signature("a1999: str -> b", types) is parse_signature(
        "a1999: str -> b", types
    )


def test_a_text_means_other_things_as_a_signature_and_as_fields():
    assert parse_signature("a -> b") != parse_fields("a -> b")
