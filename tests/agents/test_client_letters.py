"""Dead letters: read without trust, offered again as their producer sent them."""

import pytest

from agents.client.letters import Letter
from agents.dead_letters import bare, dead_letter
from agents.record import ORIGIN, REPLAY, Record, replay_of


def record(*headers: tuple[str, bytes], value: bytes | None = b"bytes") -> Record:
    return Record(
        topic="penstock.support.requests",
        partition=3,
        offset=17,
        key=b"s-1",
        value=value,
        headers=headers,
        timestamp_ms=1_700_000_000_000,
    )


def lying(published) -> Letter:
    """Return a letter as it lies in its topic once *published*."""
    return Letter(
        record=Record(
            topic=published.topic,
            partition=3,
            offset=0,
            key=published.key,
            value=published.value,
            headers=published.headers,
            timestamp_ms=1_700_000_999_999,
        )
    )


def set_aside(original: Record) -> Letter:
    return lying(
        dead_letter(
            "dlq", original, code="decode.magic", reason="first byte", group="g"
        )
    )


def test_a_letter_says_why_it_is_there_and_where_it_was():
    letter = set_aside(record())
    assert (letter.code, letter.message) == ("decode.magic", "first byte")
    assert letter.origin == "penstock.support.requests 3:17"
    assert letter.timestamp_ms == 1_700_000_000_000
    assert letter.replay == 0
    assert not letter.truncated


def test_offered_again_it_is_the_record_that_was_sent_with_a_replay_number():
    sent = (("correlation-id", b"7"), ("correlation-id", b"\xff"))
    again = set_aside(record(*sent, (ORIGIN, b"t 1 2"))).again()
    assert (again.partition, again.key, again.value) == (3, b"s-1", b"bytes")
    assert again.headers == (*sent, (REPLAY, b"1"))
    assert again.timestamp_ms == 1_700_000_000_000


def test_each_replay_counts_one_further():
    again = set_aside(record((REPLAY, b"1"))).again()
    assert again.replay == 2
    assert replay_of(record(*again.headers)) == 2
    assert [name for name, _ in again.headers] == [REPLAY]


def test_a_replay_number_that_we_never_wrote_counts_as_none():
    assert set_aside(record((REPLAY, b"many"))).again().replay == 1


def test_headers_of_a_producer_do_not_pass_for_ours():
    forged = [("x-penstock-code", b"ok"), ("__dlq.errors.partition", b"0")]
    letter = set_aside(record(*forged, ("x-penstock-truncated", b"1")))
    assert (letter.code, letter.again().partition) == ("decode.magic", 3)
    assert not letter.truncated


def test_a_letter_without_its_bytes_says_so():
    published = dead_letter("dlq", record(), code="x", reason="y", group="g")
    assert lying(bare(published, 99)).truncated


@pytest.mark.parametrize("number", [b"", b"-1", b"three", b"\xff", "٣".encode()])
def test_a_record_that_is_no_dead_letter_of_ours_can_still_be_shown(number):
    headers = [("__dlq.errors.partition", number), ("x-penstock-timestamp", number)]
    letter = Letter(record=record(*headers, (REPLAY, number)))
    assert (letter.code, letter.message, letter.replay) == ("", "", 0)
    assert letter.again().partition is None
    assert letter.timestamp_ms == 1_700_000_000_000
    assert letter.origin.startswith("? ")
