"""What a run held is free when it ends, and does not wait for a collection.

A worker collects seldom (``agents/worker.py``): a ring of references keeps a request of
a hundred kilobytes until then, times some thousand.
"""

import asyncio
import gc
import weakref

import pytest

from streams.errors import ModelUnavailableError
from tests.streams.flows import file_of

CHAIN = file_of("[a, b]", "a: ticket -> x", "b: ticket, x -> y", output="y")
BRANCHES = file_of(
    "[{parallel: {f: [a], g: [b]}}]", "a: ticket -> x", "b: ticket -> y", output="x, y"
)
WAYS = file_of(
    "[{when: sure > 0.5, then: [a], else: [b]}]",
    "a: ticket -> x",
    "b: ticket -> y",
    output="x, y",
)
EACH = file_of(
    "[{map: [a], over: parts, each: part, collect: {x: xs}, width: 2}]",
    "a: ticket, part -> x",
    output="xs: list[str]",
)


INSTEAD = file_of(
    "[{fallback: [[a], [b]]}]", "a: ticket -> x", "b: ticket -> x", output="x"
)


class Inputs(dict):
    """A request's inputs, which can be watched."""


async def ends(bench, pipeline, status="OK"):
    inputs = Inputs(ticket="broken", sure=0.9, parts=["p", "q"])
    watched = weakref.ref(inputs)
    end = await bench.run(pipeline, inputs=inputs)
    assert end.result.status == status
    return watched


async def holds_nothing(bench, pipeline, status="OK"):
    """Say whether a second run leaves nothing for the collector."""
    await asyncio.create_task(ends(bench, pipeline, status))
    gc.collect()
    gc.disable()
    try:
        watched = await asyncio.create_task(ends(bench, pipeline, status))
        await asyncio.sleep(0)
        return watched() is None
    finally:
        gc.enable()


def unavailable(name):
    return [ModelUnavailableError(name, "lm", "no") for _ in range(20)]


@pytest.mark.parametrize("text", [CHAIN, BRANCHES, WAYS, EACH])
async def test_a_run_that_ended_holds_nothing(bench, text):
    for name, answer in (("a", {"x": "A"}), ("b", {"y": "B"})):
        bench.lm.say(name, answer, answer, answer, answer)
    assert await holds_nothing(bench, bench.compile(text))


@pytest.mark.parametrize("text", [CHAIN, BRANCHES, WAYS, EACH])
async def test_a_run_that_failed_holds_nothing(bench, text):
    for name in "ab":
        bench.lm.say(name, *unavailable(name))
    assert await holds_nothing(bench, bench.compile(text), "ERROR")


async def test_an_alternative_that_failed_holds_nothing(bench):
    bench.lm.say("a", *unavailable("a"))
    bench.lm.say("b", {"x": "B"}, {"x": "B"})
    assert await holds_nothing(bench, bench.compile(INSTEAD))
