"""Origins: who finds another topic behind a name that it knows does not go on."""

import pytest

from agents.origins import TopicRecreatedError, changed, pack, unpack
from streams.errors import StateError

REQUESTS, SESSIONS = "penstock.support.requests", "penstock-main-sessions-changelog"
KNOWN = {REQUESTS: "aa", SESSIONS: "bb"}


def test_the_same_topics_are_no_news():
    assert changed(unpack(pack(KNOWN)), KNOWN) == frozenset()


def test_nobody_wrote_any_down_before():
    assert changed(unpack(None), KNOWN) == frozenset()


def test_a_topic_with_another_id_was_made_anew():
    assert changed(unpack(pack(KNOWN)), KNOWN | {REQUESTS: "cc"}) == {REQUESTS}


def test_topics_that_come_with_a_pipeline_or_go_with_it_were_not():
    assert changed(KNOWN, {SESSIONS: "bb", "penstock.new.requests": "dd"}) == set()


@pytest.mark.parametrize("stored", [b"", b"\x02{}", b"\x01{", b"\x01[]"])
def test_what_cannot_be_read_is_not_taken_for_nothing(stored):
    with pytest.raises(StateError):
        unpack(stored)


def test_the_error_names_topics_and_what_helps():
    said = str(TopicRecreatedError({SESSIONS, REQUESTS}))
    assert said.startswith(f"{SESSIONS}, {REQUESTS}: deleted and made again")
    assert "PENSTOCK_ACCEPT_LOSS" in said
