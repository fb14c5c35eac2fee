"""Any flow, killed anywhere, in any order of ends, ends as if it had never been."""

import asyncio
import json
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import Usage
from streams.errors import ModelRefusedError, ModelUnavailableError
from streams.journal import Journal, pack, unpack
from streams.stage import Answer
from tests.streams.random_flows import RandomFlow
from tests.streams.test_run_flow_resume import records_of, settled_calls

INPUTS = {"ticket": "broken", "tone": "warm", "parts": ["a", "b", "c", "d"]}


class Model:
    """Answers as the call says; how long it takes, and outages, are a matter of luck.

    Some answers are of no use, and some stages fail on some inputs: always the same.
    """

    name = "small"
    fingerprint = "model"

    def __init__(self, flow, luck):
        self.paid = []
        self._flow = flow
        self._luck = luck

    def available(self):
        return True

    async def complete(self, stage, call):
        for _ in range(self._luck.randrange(6)):
            await asyncio.sleep(0)
        if self._luck.random() < 0.05:
            raise ModelUnavailableError(stage, self.name, "away")
        said = sha256((stage + call.messages[0]["content"]).encode()).hexdigest()
        if stage in self._flow.failing and said[9] < "8":
            raise ModelRefusedError(stage, self.name, "no")
        self.paid.append(call.request_id)
        if sha256(call.request_id.encode()).digest()[0] % 9 == 0:
            return Answer(text="of no use", usage=Usage(calls=1))
        text = json.dumps({self._flow.makes[stage]: said[:8]})
        return Answer(text=text, usage=Usage(calls=1))


async def work(bench, pipeline, journal, cut=None):
    """Run *pipeline* on a journal; nothing after *cut* emissions was settled.

    Return the end, None if it was not settled, what was, and what was paid.
    """
    entries = tuple(unpack(pack(e)) for p in journal for e in p.entries)
    bench.emitted.clear()
    bench.lm.paid.clear()
    start = {"journal": Journal.of(entries)}
    end = await bench.run(pipeline, inputs=INPUTS, start=start)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "something goes on"
    settled, paid = tuple(bench.emitted), tuple(bench.lm.paid)
    if cut is not None and cut < len(settled):
        return None, settled[:cut], paid
    return end, settled, paid


def ends_of(records):
    return sorted(
        (r.path, r.event, r.status)
        for r in records
        if r.event in {"finished", "skipped"}
    )


@pytest.mark.parametrize("wild", [False, True])
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(0, 40), min_size=1, max_size=4),
)
def test_wherever_any_flow_is_cut_it_ends_as_if_it_had_not_been(
    new_bench, wild, seed, cuts
):
    flow = RandomFlow(Random(seed), wild=wild)  # noqa: S311 - a flow
    text = flow.text()
    luck = Random(seed + 1)  # noqa: S311 - how long calls take

    async def check():
        bench = new_bench(lm=Model(flow, luck))
        pipeline = bench.compile(text)
        whole, all_settled, all_paid = await work(bench, pipeline, [])
        settled = []
        for cut in [*cuts, None]:
            known = settled_calls(settled)
            end, more, paid = await work(bench, pipeline, settled, cut)
            assert len(set(paid)) == len(paid), "a call was paid twice"
            assert not known & set(paid), "a finished call was paid again"
            settled += more
            if end is not None:
                break
        assert end.result.status == whole.result.status
        assert end.result.outputs == whole.result.outputs
        records = records_of(settled, end)
        numbers = [record.sequence for record in records]
        assert numbers == list(range(1, len(numbers) + 1)), "a gap, or a number twice"
        assert end.result.sequence == len(numbers)
        ended = ends_of(records)
        assert len(set(ended)) == len(ended), "a stage ended twice"
        if not (wild or "fallback" in text):
            # Nothing was cancelled: the order of ends is of no account.
            assert end.result.error == whole.result.error
            assert known | set(paid) == set(all_paid)
            assert ended == ends_of(records_of(all_settled, whole))

    asyncio.run(check())
