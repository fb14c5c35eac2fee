"""Sources: the position record decides where to begin, and a loss is never silent."""

import pytest
from aiokafka import TopicPartition

from agents.position import Position, SourcePosition
from agents.sources import PositionLostError, SourceLostError, TopicEnds, start_of

TP = TopicPartition("penstock.support.requests", 3)
OWNER = "cafe"


def ends(begin: int, end: int, committed: int | None = None) -> TopicEnds:
    at = {} if committed is None else {TP: committed}
    return TopicEnds(begins={TP: begin}, ends={TP: end}, committed=at)


def at(following: int, *ranges: tuple[int, int]) -> Position:
    source = SourcePosition(next=following, ranges=ranges)
    return Position(token=OWNER, number=0, shape="s", sources={TP.topic: source})


def start(position, found, *, latest=False, accept_loss=False) -> SourcePosition:
    return start_of(TP, position, found, latest=latest, accept_loss=accept_loss)


@pytest.mark.parametrize(("latest", "following"), [(False, 4), (True, 9)])
def test_a_first_start_begins_where_the_setting_says(latest, following):
    assert start(None, ends(4, 9), latest=latest) == SourcePosition(next=following)


def test_a_topic_that_is_new_to_the_app_begins_as_at_a_first_start():
    other = Position(token=OWNER, number=0, shape="s")
    assert start(other, ends(4, 9)) == SourcePosition(next=4)


@pytest.mark.parametrize("committed", [None, 0, 6, 9])
@pytest.mark.parametrize("latest", [False, True])
def test_the_record_wins_over_the_groups_offset(committed, latest):
    found = start(at(6, (8, 8)), ends(4, 9, committed), latest=latest)
    assert found == SourcePosition(next=6, ranges=((8, 8),))


@pytest.mark.parametrize("following", [4, 9])
def test_both_ends_of_the_topic_are_inside(following):
    assert start(at(following), ends(4, 9)).next == following


def test_a_committed_offset_without_a_record_stops_the_worker():
    with pytest.raises(PositionLostError, match="penstock offsets reset"):
        start(None, ends(4, 9, 6))


def test_accepting_the_loss_goes_on_at_the_groups_offset():
    assert start(None, ends(4, 9, 6), accept_loss=True).next == 6


@pytest.mark.parametrize("following", [3, 10])
def test_a_next_record_that_is_gone_stops_the_worker(following):
    with pytest.raises(SourceLostError, match="PENSTOCK_ACCEPT_LOSS") as caught:
        start(at(following), ends(4, 9))
    assert str(following) in str(caught.value)


def test_accepting_the_loss_goes_on_at_the_beginning():
    for following in (3, 10):
        assert start(at(following), ends(4, 9), accept_loss=True).next == 4


def test_accepting_the_loss_keeps_what_is_finished_above_it():
    found = start(at(1, (2, 2), (4, 5), (7, 7)), ends(5, 9), accept_loss=True)
    assert [found.covers(offset) for offset in range(5, 9)] == [
        True,
        False,
        True,
        False,
    ]


def test_a_topic_that_was_made_again_forgets_what_was_finished():
    found = start(at(100, (102, 102)), ends(0, 50), accept_loss=True)
    assert found == SourcePosition(next=0)


@pytest.mark.parametrize(("committed", "late"), [(None, True), (6, True), (7, False)])
def test_a_group_offset_is_behind_where_it_is_not_the_records(committed, late):
    behind = ends(0, 9, committed).behind([TP.topic], TP.partition, at(7))
    assert behind == [TP.topic] * late


def test_a_topic_that_the_record_does_not_know_is_not_behind():
    assert ends(0, 9, 6).behind(["new", TP.topic], TP.partition, None) == []
    assert ends(0, 9, 6).behind(["new"], TP.partition, at(7)) == []
