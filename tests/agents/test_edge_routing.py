"""Routing: a key's home is where Java's and Faust's producers put it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.record import Record, origin_header, origin_of, replay_of
from agents.routing import home_partition
from schemas.records import Source


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        # From the test of Kafka's own Utils.murmur2.
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
@pytest.mark.parametrize("partitions", [1, 8, 24])
def test_a_home_is_where_javas_partitioner_says(key, hashed, partitions):
    assert home_partition(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


@settings(max_examples=40)
@given(key=st.text(min_size=1), partitions=st.integers(1, 100))
def test_every_key_has_a_home(key, partitions):
    assert 0 <= home_partition(key, partitions) < partitions


@settings(max_examples=30)
@given(
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    topic=st.from_regex(r"[a-zA-Z0-9._-]{1,249}", fullmatch=True),
)
def test_an_origin_comes_back_as_it_was_written(topic, partition, offset):
    source = Source(topic=topic, partition=partition, offset=offset)
    record = Record(
        topic="t",
        partition=0,
        offset=0,
        key=None,
        value=None,
        headers=[("x", b""), origin_header(source)],
    )
    assert origin_of(record) == source


def test_a_record_without_our_headers_is_an_original():
    record = Record(topic="t", partition=1, offset=2, key=None, value=None)
    assert origin_of(record) is None
    assert replay_of(record) == 0
    assert record.size_bytes == 0
    assert record.source == Source(topic="t", partition=1, offset=2)


def test_of_headers_with_one_name_the_first_counts():
    headers = [("x-penstock-replay", b"1"), ("x-penstock-replay", b"2")]
    record = Record(
        topic="t", partition=1, offset=2, key=b"k", value=b"vv", headers=headers
    )
    assert replay_of(record) == 1
    assert record.size_bytes == 3
