"""Records are values: a request knows its home, and usage adds up."""

import pytest

from schemas.records import Request, Usage


@pytest.mark.parametrize(
    ("session_id", "home"), [("s-1", "s-1"), (None, "r-1"), ("", "r-1")]
)
def test_home_is_the_session_else_the_request(session_id, home):
    request = Request(request_id="r-1", pipeline="p", inputs={}, session_id=session_id)
    assert request.home == home


def test_usage_adds_up():
    one = Usage(calls=1, input_tokens=2, output_tokens=3, cost_usd=0.5, cached_calls=4)
    assert one.plus(one) == Usage(
        calls=2, input_tokens=4, output_tokens=6, cost_usd=1.0, cached_calls=8
    )


def test_a_cost_is_unknown_only_if_both_are():
    assert Usage().plus(Usage(cost_usd=0.5)).cost_usd == 0.5
    assert Usage().plus(Usage()).cost_usd is None
