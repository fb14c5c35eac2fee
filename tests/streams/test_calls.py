"""Calls of one stage: each paid once, in its branch, and effects as well."""

import asyncio

import pytest

from schemas.records import Usage
from streams.calls import Purse, StageCalls
from streams.journal import Journal
from streams.stage import Answer, LMCall


class Echo:
    """An LM that answers its question, once it is let go."""

    name = fingerprint = "echo"

    def __init__(self):
        self.ids = []
        self.asked = []
        self.held = {}

    async def complete(self, stage, call):
        self.ids.append(call.request_id)
        question = call.messages[0]["content"]
        self.asked.append(question)
        if question in self.held:
            await self.held[question].wait()
        return Answer(text=question.upper(), usage=Usage(calls=1))


def question(text):
    return LMCall(messages=({"role": "user", "content": text},))


class Till:
    """Calls of a stage, and what they emitted."""

    def __init__(self, recorder, entries=()):
        self.lm = Echo()
        self.saved = []
        self.recorder = recorder
        self.purse = Purse(
            request_id="r1",
            stage="draft",
            journal=Journal.of(tuple(entries)).calls,
            emit=self.saved.extend,
            recorder=recorder,
        )
        self.calls = StageCalls(self.purse, "map.1/0/draft")

    async def ask(self, text, calls=None):
        return (await (calls or self.calls).ask(self.lm, question(text))).text


@pytest.fixture
def till(bench):
    return Till(bench.recorder)


async def test_the_id_of_a_call_is_its_request_its_place_and_its_number(till):
    await till.ask("a")
    await till.ask("b")
    await till.ask("c", till.calls.branch("2"))
    assert till.lm.ids == [
        "r1/map.1/0/draft/0",
        "r1/map.1/0/draft/1",
        "r1/map.1/0/draft/2/0",
    ]


async def test_an_answer_is_saved_once_its_stage_waits_for_something_else(till):
    await till.ask("a")
    assert till.saved == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [entry.text for entry in till.saved] == ["A"]


async def test_the_answer_that_a_stage_ends_with_needs_no_entry_of_its_own(till):
    await till.ask("a")
    till.purse.close()
    await asyncio.sleep(0)
    assert till.saved == []


async def test_what_a_program_left_behind_asks_and_saves_nothing_more(till):
    till.lm.held["a"] = asyncio.Event()
    left = asyncio.create_task(till.ask("a"))
    await asyncio.sleep(0)
    till.purse.close()
    till.lm.held["a"].set()
    assert await left == "A"
    with pytest.raises(asyncio.CancelledError):
        await till.ask("b")
    await asyncio.sleep(0)
    assert (till.saved, till.lm.asked) == ([], ["a"])


async def test_branches_count_by_themselves_and_a_name_is_one_branch(till):
    one, two = till.calls.branch("1"), till.calls.branch("2")
    assert till.calls.branch("1") is one
    await asyncio.gather(till.ask("a", one), till.ask("b", two))
    await till.ask("c", one)
    till.purse.save()
    assert {(e.site, e.ordinal, e.text) for e in till.saved} == {
        ("map.1/0/draft/1", 0, "A"),
        ("map.1/0/draft/1", 1, "C"),
        ("map.1/0/draft/2", 0, "B"),
    }
    assert till.purse.usage.calls == 3


async def test_an_answer_is_saved_at_once_while_another_call_is_under_way(till):
    till.lm.held["slow"] = asyncio.Event()
    slow = asyncio.create_task(till.ask("slow", till.calls.branch("1")))
    await asyncio.sleep(0)
    await till.ask("quick", till.calls.branch("2"))
    assert [e.text for e in till.saved] == ["QUICK"]
    till.lm.held["slow"].set()
    await slow


async def test_whatever_order_branches_have_they_find_their_answers_again(till, bench):
    names = ["1", "2", "3"]
    for name in names:
        await till.ask(f"to {name}", till.calls.branch(name))
    till.purse.save()
    again = Till(bench.recorder, till.saved)
    for name in reversed(names):
        assert await again.ask(f"to {name}", again.calls.branch(name)) == f"TO {name}"
    assert again.lm.asked == []
    assert again.purse.usage == Usage(cached_calls=3)


async def test_a_failed_attempt_asks_branches_from_their_beginning(till):
    await till.ask("a", till.calls.branch("1").branch("x"))
    till.calls.fail(burn=False)
    await till.ask("a", till.calls.branch("1").branch("x"))
    assert till.lm.asked == ["a"]


async def test_burnt_answers_are_asked_anew_under_other_names(till, bench):
    await till.ask("a", till.calls.branch("1"))
    till.calls.fail(burn=True)
    await till.ask("a", till.calls.branch("1"))
    till.purse.save()
    assert [e.site for e in till.saved] == ["map.1/0/draft/1", "map.1/0/draft/~1/1"]
    again = Till(bench.recorder, till.saved)
    again.calls.fail(burn=True)
    await again.ask("a", again.calls.branch("1"))
    assert again.lm.asked == [], "however far the branch had come before it was burnt"


async def test_an_effect_is_done_once_costs_nothing_and_is_found_again(till, bench):
    done = []

    async def look_up():
        done.append("x")
        return '{"found": 1}'

    await till.ask("a")
    assert await till.calls.effect("search", "digest", look_up) == '{"found": 1}'
    till.purse.save()
    assert till.purse.usage.calls == 1
    assert [e.ordinal for e in till.saved] == [0, 1]
    again = Till(bench.recorder, till.saved)
    await again.ask("a")
    assert await again.calls.effect("search", "digest", look_up) == '{"found": 1}'
    assert (len(done), again.purse.usage) == (1, Usage(cached_calls=1))


async def test_an_effect_with_other_arguments_is_another_one(till, bench):
    async def done(text):
        return text

    await till.calls.effect("search", "one", lambda: done("1"))
    till.purse.save()
    again = Till(bench.recorder, till.saved)
    assert await again.calls.effect("search", "two", lambda: done("2")) == "2"
    assert bench.recorder.total("penstock_journal_misses_total") == 1


async def test_an_effect_that_fails_is_not_remembered(till):
    async def fails():
        raise KeyError

    with pytest.raises(KeyError):
        await till.calls.effect("search", "one", fails)
    till.purse.save()
    assert till.saved == []
