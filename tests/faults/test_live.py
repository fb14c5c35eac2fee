"""The checker at work: what was read in one look is judged in the next."""

from dataclasses import dataclass, field, replace

import pytest

from tests.faults.history import History
from tests.faults.live import Live
from tests.faults.synthetic import RESULTS, Story


@dataclass
class Reading:
    """A reader before whose eyes a story is told, as far as the test wants."""

    history: History = field(default_factory=History)
    pipelines: tuple[str, ...] = ("ask",)
    partitions: int = 1

    def ends(self) -> dict:
        return {}

    def read(self, _: object) -> None:
        """Read nothing: the test does."""


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def live(story) -> Live:
    return Live(Reading(history=story.history), doubt_s=0)


def seen(live: Live) -> set[str]:
    live.look()
    return {f"I{violation.invariant}" for _, violation in live.violations}


def test_all_is_well_while_it_goes_on(live, story):
    for number in range(5):
        story.answer(story.ask(f"r{number}", "s"))
        story.set_aside(story.ask_nonsense())
        assert seen(live) == set()


def test_a_second_terminal_is_seen_in_the_next_look(live, story):
    story.answer(story.ask("r1"))
    assert seen(live) == set()
    again = replace(story.history.terminals[-1], at=story.put(RESULTS))
    story.history.terminals.append(again)
    assert seen(live) == set()
    assert seen(live) == {"I1"}


def test_what_becomes_visible_a_moment_later_is_no_violation(live, story):
    asked = story.ask("r1")
    story.answer(asked)
    terminal, stages = story.history.terminals.pop(), story.history.stages[:]
    # The position record is there, its transaction's other records are not yet.
    story.history.stages.clear()
    assert seen(live) == set()
    story.history.terminals.append(terminal)
    story.history.stages += stages
    assert seen(live) == set()
    assert seen(live) == set()


def test_what_is_called_finished_and_never_settled_is_seen(live, story):
    asked = story.ask("r1")
    story.commit({asked.at.topic: asked.at.offset + 1})
    assert seen(live) == set()
    assert seen(live) == {"I3"}


def test_an_answer_that_shows_seconds_after_its_position_is_no_violation(story):
    live = Live(Reading(history=story.history), doubt_s=60)
    story.answer(story.ask("r1"))
    terminal = story.history.terminals.pop()
    for _ in range(4):
        assert seen(live) == set()
    story.history.terminals.append(terminal)
    assert seen(live) == set()


def test_order_stages_and_owners_are_judged_too(live, story):
    first, second = story.ask("r1", "s"), story.ask("r2", "s")
    story.answer(second)
    story.answer(first)
    story.history.stages.clear()
    story.token, story.number = "two", 0
    story.commit({})
    story.token, story.number = "one", 99
    story.commit({})
    live.look()
    assert seen(live) == {"I5", "I6", "I10"}


def test_it_knows_when_requests_are_answered_again(live, story):
    asked = story.ask("r1")
    story.history.asked[-1] = replace(asked, sent_ms=500)
    story.answer(asked)
    live.look()
    assert live.answers_after(400)
    assert not live.answers_after(500)
