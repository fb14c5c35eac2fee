"""The demo's parts: tickets in turns, a count that is not fooled, lines to read."""

from pathlib import Path

import pytest

from agents.demo.conversation import line_of
from agents.demo.run import TICKETS
from agents.demo.tally import Tally
from agents.demo.tickets import read_tickets
from agents.failures import DemoFilesError
from schemas.records import ErrorInfo, Result

ROOT = Path(__file__).parents[2]


def result(request_id: str, **fields: object) -> Result:
    known = {"pipeline": "support", "pipeline_version": 1, "status": "OK"}
    return Result(request_id=request_id, **{**known, **fields})


def test_there_are_at_least_200_different_tickets_in_sessions_of_several_turns():
    tickets = read_tickets(ROOT / TICKETS)
    assert len({ticket.ticket for ticket in tickets}) >= 200
    sessions = {ticket.session for ticket in tickets}
    assert len(sessions) >= 40
    assert all(sum(t.session == s for t in tickets) >= 3 for s in sessions)


def test_sessions_take_turns_and_each_is_in_its_order():
    tickets = read_tickets(ROOT / TICKETS)
    assert [t.turn for t in tickets] == sorted(t.turn for t in tickets)
    for session in {ticket.session for ticket in tickets}:
        turns = [t.turn for t in tickets if t.session == session]
        assert turns == list(range(1, len(turns) + 1))


def test_requests_are_unique_and_belong_to_their_session():
    requests = [t.request("support") for t in read_tickets(ROOT / TICKETS)]
    assert len({request.request_id for request in requests}) == len(requests)
    assert all(r.home == r.session_id and r.inputs["ticket"] for r in requests)


def test_a_folder_without_the_tickets_is_named(tmp_path):
    with pytest.raises(DemoFilesError, match="run it in a checkout"):
        read_tickets(tmp_path / TICKETS)


def test_the_count_is_right_if_each_request_has_one_result():
    tally = Tally(sent={"a", "b"})
    tally.take(result("a"))
    assert not tally.right
    tally.take(result("b"))
    assert tally.right
    assert tally.summary() == (
        "demo: requests=2 results=2 missing=0 duplicates=0 dead_letters=0"
    )


def test_a_duplicate_does_not_make_up_for_a_missing_result():
    tally = Tally(sent={"a", "b"})
    tally.take(result("a"))
    tally.take(result("a"))
    assert not tally.right
    assert "results=2 missing=1 duplicates=1" in tally.summary()


@pytest.mark.parametrize("stranger", [True, False])
def test_a_result_that_nobody_asked_for_or_a_dead_letter_is_not_right(stranger):
    tally = Tally(sent={"a"})
    tally.take(result("a"))
    if stranger:
        tally.take(result("z"))
    else:
        tally.dead_letters += 1
    assert not tally.right


def test_a_result_is_one_short_line():
    outputs = {"category": "bug", "reply": "We are\n\nlooking " * 20}
    line = line_of(result("a-2", session_id="sync", turn=2, outputs=outputs))
    assert line.startswith("sync 2 ")
    assert " bug " in line
    assert line.endswith("…")
    assert len(line) < 100
    error = ErrorInfo(code="stage.timeout", message="no answer")
    line = line_of(result("a-3", session_id="sync", status="ERROR", error=error))
    assert "ERROR" in line
    assert line.endswith("stage.timeout")
