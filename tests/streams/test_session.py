"""Sessions are values: every turn makes a new one, and the stored form comes back."""

import orjson
import pytest

from streams.errors import StateError
from streams.session import Session, Turn


def turn(number, pipeline="desk"):
    return Turn(
        pipeline=pipeline, request_id=f"r{number}", at_ms=number, fields={"n": number}
    )


def test_an_answered_turn_is_counted_and_remembered():
    before = Session(session_id="s")
    after = before.after(turn(1), at_ms=5, keep=20)
    assert (after.turns, after.updated_ms, after.history) == (1, 5, (turn(1),))
    assert before == Session(session_id="s")


def test_a_failed_turn_is_counted_and_leaves_no_trace():
    after = Session(session_id="s", history=(turn(1),)).after(None, at_ms=5, keep=20)
    assert (after.turns, after.history) == (1, (turn(1),))


@pytest.mark.parametrize(
    ("keep", "left"), [(0, []), (1, [3]), (2, [2, 3]), (9, [1, 2, 3])]
)
def test_history_keeps_the_latest(keep, left):
    session = Session(session_id="s", history=(turn(1), turn(2)))
    after = session.after(turn(3), at_ms=3, keep=keep)
    assert after.history == tuple(map(turn, left))


def test_each_pipeline_sees_its_own_turns():
    session = Session(session_id="s", history=(turn(1), turn(2, "other"), turn(3)))
    assert session.of("desk") == (turn(1), turn(3))


@pytest.mark.parametrize(
    ("ttl_s", "now_ms", "expired"),
    [(None, 10**15, False), (10.0, 11_000, False), (10.0, 11_001, True)],
)
def test_a_session_expires_when_unused_for_longer_than_its_ttl(ttl_s, now_ms, expired):
    assert Session(session_id="s", updated_ms=1_000).expired(ttl_s, now_ms) is expired


def test_the_stored_form_comes_back():
    session = Session(
        session_id="s", turns=9, updated_ms=7, history=(turn(1), turn(2, "x"))
    )
    assert Session.unpack("s", session.pack()) == session


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        (b"\x02[]", "session s: stored in format b'\\x02'"),
        (b"", "session s: damaged: format b''"),
        (b"\x01{", "session s: damaged: "),
        (b"\x01[1,2]", "session s: damaged: "),
        (b"\x01" + orjson.dumps([1, 2, [[1]]]), "session s: damaged: "),
    ],
)
def test_what_cannot_be_read_says_whose_it_is(stored, sentence):
    with pytest.raises(StateError) as caught:
        Session.unpack("s", stored)
    assert str(caught.value).startswith(sentence)
