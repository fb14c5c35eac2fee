"""Each invariant's check flags its violation, and passes where all is well."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.faults.check_offsets import Finished
from tests.faults.history import Call, Sample, Trouble
from tests.faults.index import Index
from tests.faults.synthetic import RESULTS, STAGES, Story, changelog


@pytest.fixture
def story() -> Story:
    """Two turns of a session, a request without one, a dead letter, a new owner."""
    told = Story()
    told.answer(told.ask("r1", "s"))
    told.set_aside(told.ask_nonsense())
    told.take_over()
    told.answer(told.ask("r2", "s"))
    told.answer(told.ask("r3"))
    return told


def found(story: Story) -> Counter[str]:
    """Return how often which invariant is said to be violated."""
    return Counter(f"I{violation.invariant}" for violation in story.verdict())


def test_all_is_well(story):
    assert story.verdict() == []


def test_i1_flags_a_request_without_a_terminal(story):
    del story.history.terminals[-1]
    assert "I1" in found(story)


def test_i1_flags_a_second_terminal(story):
    again = replace(story.history.terminals[-1], at=story.put(RESULTS))
    story.history.terminals.append(again)
    story.commit({})
    assert found(story) == {"I1": 1}


def test_i1_flags_a_terminal_that_nobody_asked_for(story):
    first = story.history.terminals[0]
    key = first.key._replace(request_id="nobody", home="nobody")
    story.history.terminals.append(replace(first, at=story.put(RESULTS), key=key))
    story.commit({})
    assert "I1" in found(story)


def test_a_repeated_id_needs_no_second_terminal(story):
    asked = story.ask("r1", "s")
    story.commit({asked.at.topic: asked.at.offset + 1})
    assert story.verdict() == []


def test_i2_flags_a_record_below_the_committed_offset_that_is_not_settled(story):
    asked = story.ask("r4")
    story.commit({asked.at.topic: asked.at.offset + 1})
    assert found(story).keys() == {"I1", "I2", "I3"}


def test_i3_flags_what_was_called_finished_before_its_transaction(story):
    asked = story.ask("r4")
    story.commit({asked.at.topic: asked.at.offset + 1})
    story.answer(asked)
    story.commit({})
    assert found(story) == {"I3": 1}


def test_i3_sees_ranges_above_the_next_offset(story):
    early, late = story.ask("r4"), story.ask("r5")
    finished = Finished(Index.of(story.history))
    list(finished.by(story.history.positions))
    position = replace(
        story.history.positions[-1],
        sources={early.at.topic: (early.at.offset, ((late.at.offset,) * 2,))},
    )
    assert [asked for _, asked in finished.by([position])] == [late]


@pytest.mark.parametrize("table", ["sessions", "ledger"])
def test_i4_flags_a_table_that_missed_a_write(story, table):
    writes = story.history.writes
    del writes[max(i for i, write in enumerate(writes) if write.table == table)]
    assert found(story) == {"I4": 1}


def test_i4_flags_a_journal_entry_that_stays(story):
    story.history.writes = [
        write
        for write in story.history.writes
        if write.table != "journal" or write.value is not None
    ]
    assert found(story) == {"I4": 3}


def test_i4_flags_a_disk_that_is_not_as_the_changelog(story):
    stored = {p: dict(e) for p, e in story.history.tables()["sessions"].items()}
    story.history.dumps = {"sessions": stored}
    assert story.verdict() == []
    stored[0][b"s"] = b"\x01[99, 0, []]"
    assert found(story) == {"I4": 1}


def test_i5_flags_terminals_in_another_order_than_their_requests(story):
    first, second = story.ask("r4", "t"), story.ask("r5", "t")
    story.answer(second)
    story.answer(first)
    story.commit({first.at.topic: second.at.offset + 1})
    assert found(story)["I5"] == 1


def test_i5_flags_a_turn_that_comes_again(story):
    story.history.terminals[1] = replace(story.history.terminals[1], turn=1)
    assert found(story) == {"I5": 1}


def test_i6_flags_an_answer_without_all_of_its_stages(story):
    del story.history.stages[0]
    assert found(story) == {"I6": 1}


def test_i6_flags_a_stage_that_was_recorded_twice(story):
    twice = replace(story.history.stages[0], at=story.put(STAGES))
    story.history.stages.insert(1, twice)
    story.commit({})
    assert found(story) == {"I6": 1}


def test_i6_flags_stages_of_a_request_without_a_terminal(story):
    key = story.history.stages[0].key._replace(request_id="gone")
    story.history.stages.append(
        replace(story.history.stages[0], at=story.put(STAGES), key=key)
    )
    story.commit({})
    assert found(story) == {"I6": 1}


def again(story: Story, name: str, *, after_ms: int) -> None:
    """Let a call be received once more."""
    first = next(call for call in story.history.calls if call.name == name)
    at_ms = first.received_ms + after_ms
    late = Call(name=name, received_ms=at_ms, ended_ms=at_ms + 5, status=200)
    story.history.calls = [*story.history.calls, late]


def fault(story: Story, name: str) -> None:
    story.history.troubles = [
        Trouble(fault=name, target="w0", begin_ms=0, healed_ms=story.now_ms)
    ]


@pytest.mark.parametrize("name", ["kill", "zombie-cut", "broker-away", "lm-reset"])
def test_i7_flags_a_finished_call_that_is_paid_again_whatever_happened(story, name):
    again(story, "r2/classify/0", after_ms=500)
    fault(story, name)
    assert found(story) == {"I7": 1}


def test_i7_flags_a_call_that_is_repeated_on_a_partition_that_stays(story):
    again(story, "r2/classify/0", after_ms=60)
    fault(story, "kill")
    assert found(story) == {"I7": 1}
    fault(story, "lm-reset")
    assert story.verdict() == [], "the answer may have been lost"


def test_i7_lets_a_new_owner_repeat_what_was_not_committed(story):
    asked = story.ask("r4")
    story.history.calls = [
        *story.history.calls,
        Call(
            name="r4/classify/0",
            received_ms=story.now_ms - 60,
            ended_ms=story.now_ms - 50,
            status=200,
        ),
    ]
    story.take_over()
    story.answer(asked)
    assert story.verdict() == []


def test_i7_lets_calls_be_repeated_that_were_not_answered(story):
    first, *rest = story.history.calls
    story.history.calls = [replace(first, status=500), *rest]
    again(story, first.name, after_ms=60)
    assert story.verdict() == []


def test_i8_flags_a_dead_letter_that_is_missing(story):
    del story.history.letters[0]
    assert "I8" in found(story)


def test_i8_flags_a_dead_letter_with_other_bytes(story):
    story.history.letters[0] = replace(story.history.letters[0], raw=(b"k", b"!"))
    assert found(story) == {"I8": 1}


def test_i8_lets_a_letter_be_bare_where_its_topic_took_nothing(story):
    bare = replace(story.history.letters[0], raw=(None, None), truncated=2)
    [asked] = [a for a in story.history.asked if a.at == bare.source]
    size = sum(len(part or b"") for part in asked.raw)
    story.history.letters[0] = replace(bare, truncated=size)
    assert found(story) == {"I8": 1}, "nobody refused anything"
    fault(story, "refused")
    assert story.verdict() == []
    story.history.letters[0] = replace(bare, truncated=size + 1)
    assert found(story) == {"I8": 1}


def test_i8_flags_a_dead_letter_that_comes_twice(story):
    story.set_aside(story.history.asked[1])
    assert found(story)["I8"] == 1


def test_i9_flags_a_record_that_still_waits(story):
    story.ask("r4")
    assert "I9" in found(story)


def test_i9_flags_an_open_transaction(story):
    story.history.ends = {(RESULTS, 0): (5, 7)}
    assert found(story) == {"I9": 1}


def test_i10_flags_an_owner_that_was_replaced_and_wrote_again(story):
    story.token, story.number, story.epoch = "one", 9, 0
    story.commit({})
    assert "I10" in found(story)


def test_i10_flags_a_record_outside_a_transaction(story):
    story.put(RESULTS, transactional=False, outcome="plain", producer=-1)
    assert found(story) == {"I10": 1}


def test_i10_flags_a_transaction_without_a_position_record(story):
    story.put(RESULTS, producer=99)
    assert found(story) == {"I10": 1}


def test_i10_flags_a_transaction_of_which_only_a_part_is_visible(story):
    story.put(RESULTS)
    story.put(changelog("tasks"), outcome="aborted")
    assert found(story) == {"I10": 1}


def test_markers_of_one_transaction_may_be_far_apart(story):
    for batches in story.history.batches.values():
        if batches[0].at.topic.endswith("tasks-changelog"):
            batches[-1] = replace(batches[-1], ended_ms=batches[-1].ended_ms + 30_000)
    assert story.verdict() == []


def test_i10_lets_aborted_transactions_be(story):
    story.put(RESULTS, producer=99, outcome="aborted")
    assert story.verdict() == []


def test_i11_flags_a_worker_that_takes_too_much_memory(story):
    sample = Sample(
        at_ms=0,
        worker="w0",
        pid=1,
        rss_bytes=700 << 20,
        files=10,
        waiting_bytes=0,
        running=0,
    )
    story.history.samples = [sample]
    assert found(story) == {"I11": 1}
