"""Sessions in runs: every terminal is a turn, and answered ones are history."""

from dataclasses import replace

import pytest

from streams.errors import ModelRefusedError
from streams.journal import Journal, RunHeader
from streams.planned import SKIP
from streams.session import Session, Turn
from tests.streams.nodes import chained

CHAT = """
pipeline: desk
version: 1
input: "ticket: str, tier: str = 'free'"
output: "reply"
session: {ttl: 1h, history: 2}
lms: {small: {model: scripted}}
stages:
  classify: {ask: "ticket -> category"}
  draft: {ask: "ticket, category, history -> reply"}
flow: [classify, draft]
"""


@pytest.fixture
def chat(bench):
    return bench.compile(CHAT)


async def talk(bench, chat, session, reply="Sorry!", **request):
    bench.lm.script.clear()
    bench.lm.say("classify", {"category": "bug"})
    bench.lm.say("draft", {"reply": reply})
    wanted = {"session_id": "s"} | request
    return await bench.run(chat, start={"session": session}, **wanted)


def turn(bench, reply):
    return Turn(
        pipeline="desk",
        request_id="r1",
        at_ms=bench.clock.now_ms(),
        fields={"ticket": "broken", "tier": "free", "reply": reply},
    )


async def test_the_first_request_begins_the_session(bench, chat):
    end = await talk(bench, chat, None)
    assert (end.result.turn, end.result.session_id) == (1, "s")
    assert end.session == Session(
        session_id="s",
        turns=1,
        updated_ms=bench.clock.now_ms(),
        history=(turn(bench, "Sorry!"),),
    )


async def test_stages_that_ask_for_history_see_the_answered_turns(bench, chat):
    session = (await talk(bench, chat, None)).session
    end = await talk(bench, chat, session, "Again!")
    assert end.result.turn == 2
    seen = [history for _, history in bench.stages["draft"].seen]
    assert seen == [(), (turn(bench, "Sorry!"),)]
    assert [history for _, history in bench.stages["classify"].seen] == [(), ()]
    assert "history" not in bench.stages["draft"].seen[1][0]


async def test_the_history_is_bounded(bench, chat):
    session = None
    for reply in ("1", "2", "3"):
        session = (await talk(bench, chat, session, reply)).session
    assert [t.fields["reply"] for t in session.history] == ["2", "3"]
    assert session.turns == 3


async def test_turns_of_other_pipelines_are_not_shown(bench, chat):
    other = Turn(pipeline="other", request_id="r0", at_ms=0, fields={"a": 1})
    now_ms = bench.clock.now_ms()
    session = Session(session_id="s", turns=1, updated_ms=now_ms, history=(other,))
    end = await talk(bench, chat, session)
    assert bench.stages["draft"].seen[0][1] == ()
    assert end.session.history == (other, turn(bench, "Sorry!"))


async def test_a_failed_run_is_a_turn_that_leaves_no_trace(bench, chat):
    session = (await talk(bench, chat, None)).session
    bench.clock.advance(5)
    bench.lm.say("classify", ModelRefusedError("classify", "small", "401"))
    end = await bench.run(chat, session_id="s", start={"session": session})
    assert (end.result.status, end.result.turn) == ("ERROR", 2)
    assert (end.session.turns, end.session.history) == (2, session.history)
    assert end.session.updated_ms == bench.clock.now_ms()


async def test_a_partial_answer_is_a_turn_that_leaves_no_trace(bench, chat):
    session = (await talk(bench, chat, None)).session
    classify, draft = chat.stages
    bench.lm.say("classify", {"category": "bug"})
    bench.lm.say("draft", ModelRefusedError("draft", "small", "401"))
    skipping = chained(chat, classify, replace(draft, on_failure=SKIP))
    start = {"session": session}
    end = await bench.run(skipping, start=start, session_id="s")
    assert (end.result.status, end.result.turn) == ("PARTIAL", 2)
    assert (end.session.turns, end.session.history) == (2, session.history)


async def test_a_rejected_request_is_a_turn_too(bench, chat):
    end = await talk(bench, chat, None, inputs={})
    assert (end.result.status, end.result.turn, end.session.turns) == ("REJECTED", 1, 1)


async def test_a_session_that_nobody_used_begins_anew(bench, chat):
    session = (await talk(bench, chat, None)).session
    bench.clock.advance(3_601)
    end = await talk(bench, chat, session)
    assert (end.result.turn, len(end.session.history)) == (1, 1)
    assert bench.recorder.total("penstock_sessions_expired_total") == 1


async def test_a_resumed_run_does_not_find_its_session_expired_meanwhile(bench, chat):
    session = (await talk(bench, chat, None)).session
    header = RunHeader(
        pipeline_version=1,
        fingerprint=chat.fingerprint,
        started_ms=bench.clock.now_ms(),
        attempt=1,
    )
    bench.clock.advance(7_200)
    end = await bench.run(
        chat,
        session_id="s",
        start={"session": session, "journal": Journal(header=header)},
    )
    assert end.result.turn == 2


async def test_without_a_session_id_nothing_is_remembered(bench, chat):
    end = await talk(bench, chat, None, session_id=None)
    assert (end.result.turn, end.session) == (None, None)
    assert bench.stages["draft"].seen[0][1] == ()


async def test_a_pipeline_without_session_keeps_none(bench):
    text = CHAT.replace("session: {ttl: 1h, history: 2}\n", "").replace(", history", "")
    end = await talk(bench, bench.compile(text), Session(session_id="s", turns=4))
    assert (end.result.turn, end.session, end.result.session_id) == (None, None, "s")
