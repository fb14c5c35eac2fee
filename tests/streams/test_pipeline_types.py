"""Pipelines with types of their own: declared, checked, journalled and remembered."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from schemas.codec import ParsedSchema, decode, encode
from schemas.compatibility import check_strictly
from streams.journal import Journal, pack, unpack
from streams.session import Session

ORDERS = """
pipeline: desk
version: 1
types:
  Order: "lines: list[Line, 1..], placed: datetime, total: Decimal[8, 2, 0..]"
  Line: "sku: str['[A-Z]{2}[0-9]+'], count: int[1..] = 1, price: Decimal[8, 2]"
input: "order: Order, due: date | None"
output: "order: Order, due: date | None, lines: list[Line]"
session: {history: 5}
lms: {small: {model: scripted}}
stages:
  cut: {ask: "ticket: str = 'none', history -> lines: list[Line]"}
  wait: {ask: "lines -> note: str[..20]"}
flow: [cut, wait]
"""
LINE = {"sku": "AB1", "count": 2, "price": "2.50"}
ORDER = {"lines": [LINE], "placed": "2026-02-28T12:00:00+01:00", "total": "5"}
CLEAN = {
    "lines": [{"sku": "AB1", "count": 2, "price": Decimal("2.50")}],
    "placed": datetime(2026, 2, 28, 11, tzinfo=UTC),
    "total": Decimal("5.00"),
}


@pytest.fixture
def orders(bench):
    bench.lm.say("cut", {"lines": [{"sku": "AB1", "price": "1.20"}]})
    bench.lm.otherwise = {"note": "soon"}
    return bench.compile(ORDERS)


async def test_values_are_checked_and_made_of_their_json_forms(bench, orders):
    inputs = {"order": ORDER, "due": "2026-03-01"}
    end = await bench.run(orders, inputs=inputs, session_id="s")
    assert end.result.error is None
    assert end.result.outputs == {
        "order": CLEAN,
        "due": date(2026, 3, 1),
        "lines": [{"sku": "AB1", "count": 1, "price": Decimal("1.20")}],
    }


async def test_a_value_out_of_bounds_is_refused_by_the_name_of_its_field(bench, orders):
    wrong = {**ORDER, "lines": [{**LINE, "sku": "ab1"}]}
    end = await bench.run(orders, inputs={"order": wrong})
    assert end.result.status == "REJECTED"
    assert (
        "order: expected str['[A-Z]{2}[0-9]+'], got a text of another pattern at "
        in (end.result.error.message)
    )


async def test_an_output_out_of_bounds_fails_its_stage(bench, orders):
    bench.lm.otherwise = {"note": "x" * 21}
    end = await bench.run(orders, inputs={"order": ORDER})
    assert end.result.error.code == "stage.output"
    assert "note: expected str[..20], got more than 20" in end.result.error.message


async def test_results_travel_and_come_back_as_they_were(bench, orders):
    end = await bench.run(orders, inputs={"order": ORDER})
    assert end.result.status == "OK"
    schema = ParsedSchema.of(orders.result_schema("penstock.desk"))
    check_strictly(schema.text)
    sent = {**BLANK, "outputs": end.result.outputs}
    got = decode(encode(schema, sent), start=0, schema=schema, limit_bytes=10_000)
    assert got["outputs"] == end.result.outputs


def test_a_declared_record_is_defined_once_in_a_schema(orders):
    schema = json.dumps(orders.result_schema("penstock.desk"))
    assert schema.count('"name": "Line"') == 1
    assert '"penstock.desk.types.Line"' in schema
    for made in (orders.request_schema, orders.stage_result_schema):
        check_strictly(json.dumps(made("penstock.desk")))


async def test_a_resumed_run_sees_the_values_that_the_first_one_made(bench, orders):
    first = await bench.run(orders, inputs={"order": ORDER})
    assert first.result.status == "OK"
    stored = [pack(entry) for entry in bench.entries]
    journal = Journal.of(tuple(map(unpack, stored)))
    again = await bench.run(orders, inputs={"order": ORDER}, start={"journal": journal})
    assert again.result.outputs == first.result.outputs
    assert bench.lm.ids.count("r1/cut/1") <= 1


async def test_a_session_shows_the_same_before_and_after_it_was_stored(bench, orders):
    inputs = {"order": ORDER, "due": "2026-03-01"}
    end = await bench.run(orders, inputs=inputs, session_id="s")
    assert Session.unpack("s", end.session.pack()) == end.session
    (turn,) = end.session.history
    assert turn.fields["due"] == "2026-03-01"
    assert turn.fields["order"]["total"] == "5.00"


def of_types(types):
    return ORDERS.replace(
        ORDERS[ORDERS.index("types:") : ORDERS.index("input:")], f"types: {types}\n"
    )


@pytest.mark.parametrize(
    ("types", "problem"),
    [
        (
            '{Line: "a: Order", Order: "b: list[Line]"}',
            "types.Line: holds itself: Line > Order > Line",
        ),
        (
            '{Line: "a: Line | None", Order: "a"}',
            "types.Line: holds itself: Line > Line",
        ),
        (
            '{line: "a", Line: "a", Order: "a"}',
            "types.line: 'line' is no name of a type: those begin with a capital",
        ),
        ('{Decimal: "a", Line: "a", Order: "a"}', "types.Decimal: Decimal is"),
        ('{Line: "a: nope", Order: "a"}', "types.Line: column 4: unknown type nope"),
        ('{Line: "history", Order: "a"}', "types.Line: column 1: history is made by"),
        ('{Line: "", Order: "a"}', "types.Line: must be text, and not empty"),
    ],
)
def test_a_wrong_type_is_one_problem_at_its_place(bench, types, problem):
    found = bench.problems(of_types(types))
    assert found[0].startswith(problem)
    assert not [p for p in found[1:] if "Line" not in p]


def test_a_type_takes_no_arguments_and_is_meant_by_its_name(bench):
    found = bench.problems(ORDERS.replace("lines: list[Line]", "lines: list[Lin]"))
    assert "unknown type Lin; did you mean Line?" in found[0]
    found = bench.problems(ORDERS.replace("lines: list[Line]", "lines: Line[str]"))
    assert "Line takes no arguments" in found[0]


@pytest.mark.parametrize(
    ("extra", "status", "ignored"),
    [("drop", "OK", 1), ("keep", "OK", 0), ("reject", "REJECTED", 0)],
)
async def test_inputs_of_no_field_are_dropped_kept_or_rejected(
    bench, extra, status, ignored
):
    bench.lm.say("cut", {"lines": []})
    bench.lm.otherwise = {"note": "soon"}
    desk = bench.compile(f"{ORDERS}\nextra: {extra}")
    inputs = {"order": ORDER, "other": "x"}
    end = await bench.run(desk, inputs=inputs, session_id="s")
    assert end.result.status == status
    assert bench.recorder.total("penstock_inputs_ignored_total") == ignored
    if extra == "reject":
        assert "other: belongs to no field" in end.result.error.message
    else:
        kept = end.session.history[0].fields.get("other")
        assert kept == ("x" if extra == "keep" else None)


def test_what_becomes_of_other_inputs_is_one_of_three(bench):
    assert bench.problems(f"{ORDERS}\nextra: lose") == [
        "extra: must be drop, keep, reject"
    ]


BLANK = {
    "request_id": "r",
    "session_id": None,
    "pipeline": "desk",
    "pipeline_version": 1,
    "status": "OK",
    "turn": None,
    "replay": 0,
    "error": None,
    "usage": {
        "calls": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": None,
        "cached_calls": 0,
    },
    "timings": {"queued_ms": 0, "running_ms": 0, "stages": {}},
    "versions": {},
    "source": None,
}
"""What a result has besides its outputs."""
