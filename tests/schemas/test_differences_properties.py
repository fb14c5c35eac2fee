"""Our verdict against readers: what nobody breaks by is read, what breaks is not."""

from hypothesis import given, settings

from schemas.compatibility import incompatibilities
from schemas.differences import differences
from schemas.identity import normalise
from schemas.shapes import request_schema, result_schema
from streams.signatures.avro import avro_fields
from streams.signatures.positions import tuple_positions
from tests.schemas.evolving import (
    NAMESPACE,
    pairs,
    refused_of_producers,
    surprising_to_consumers,
)

steadily = settings(max_examples=120)


def breaking(level, shape, old, new):
    before, after = (shape(NAMESPACE, avro_fields(f)) for f in (old, new))
    found = differences(level, before, after, tuple_positions)
    broken = [str(each) for each in found if each.breaks]
    if incompatibilities(level, normalise(after), normalise(before)):
        assert broken, "Avro's own checker refuses it, and we found nothing"
    return broken


@steadily
@given(pairs())
def test_producers_break_exactly_if_a_value_of_theirs_is_refused(pair):
    old, new = pair
    broken = breaking("BACKWARD_TRANSITIVE", request_schema, old, new)
    refused = list(refused_of_producers(old, new))
    assert bool(broken) == bool(refused), (broken, refused[:1])


TEXT_AS_BYTES = "was bytes, is str"
"""Avro reads any text as bytes; we say that its reader breaks all the same, because
base64 is what bytes are in our JSON."""


@steadily
@given(pairs())
def test_consumers_break_exactly_if_a_value_of_ours_is_not_what_was_promised(pair):
    old, new = pair
    broken = breaking("FORWARD_TRANSITIVE", result_schema, old, new)
    refused = list(surprising_to_consumers(old, new))
    if refused:
        assert broken, refused[:1]
    elif not all(TEXT_AS_BYTES in why for why in broken):
        raise AssertionError(broken)
